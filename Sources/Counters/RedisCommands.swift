import Bytes

// Commands in RESP: an array of bulk strings, each with its length before it.
extension ByteBuffer {
    func appendCommand(_ arguments: [String]) { appendCommand(arguments.map { Array($0.utf8) }) }

    func appendCommand(_ arguments: [[UInt8]]) {
        appendCommandHead(arguments.count)
        for argument in arguments {
            append(UInt8(ascii: "$"))
            append(decimal: argument.count)
            append("\r\n")
            append(argument)
            append("\r\n")
        }
    }

    private func appendCommandHead(_ argumentCount: Int) {
        append(UInt8(ascii: "*"))
        append(decimal: argumentCount)
        append("\r\n")
    }

    private func appendNumber(_ number: Int) {
        append(UInt8(ascii: "$"))
        append(decimal: number.decimalCharacterCount)
        append("\r\n")
        append(decimal: number)
        append("\r\n")
    }

    private func appendText(_ text: String) {
        append(UInt8(ascii: "$"))
        append(decimal: text.utf8.count)
        append("\r\n")
        append(utf8: text)
        append("\r\n")
    }

    /// `EVALSHA sha1 1 key number …`, or `EVAL source …`, which also makes Redis keep the script.
    func appendEvaluation(of script: RedisScript, asSource: Bool, _ key: CounterKey, _ numbers: [Int]) {
        appendCommandHead(4 + numbers.count)
        append(asSource ? "$4\r\nEVAL\r\n" : "$7\r\nEVALSHA\r\n")
        appendText(asSource ? script.source : script.sha1)
        append("$1\r\n1\r\n")
        append(key.argument)
        for number in numbers { appendNumber(number) }
    }

    /// Asks for the time: `EVAL source 0`
    func appendClockQuestion() {
        append("*3\r\n$4\r\nEVAL\r\n")
        appendText(RedisScript.clockSource)
        append("$1\r\n0\r\n")
    }

    /// `INCRBY key number`
    func appendIncrement(_ key: CounterKey, by number: Int) {
        append("*3\r\n$6\r\nINCRBY\r\n")
        append(key.argument)
        if number == 1 { append("$1\r\n1\r\n") } else { appendNumber(number) }
    }

    /// `ASKING`: lets a cluster's node do the next command for a slot that is just being moved to it.
    func appendAsking() { append("*1\r\n$6\r\nASKING\r\n") }

    /// `GET key`
    func appendGet(_ key: CounterKey) {
        append("*2\r\n$3\r\nGET\r\n")
        append(key.argument)
    }

    /// `SET key 0 PX milliseconds NX`: where there is no such key, makes one that counts nothing yet and will expire.
    func appendBirth(_ key: CounterKey, expiresAfterMilliseconds milliseconds: Int) {
        append("*6\r\n$3\r\nSET\r\n")
        append(key.argument)
        append("$1\r\n0\r\n$2\r\nPX\r\n")
        appendNumber(milliseconds)
        append("$2\r\nNX\r\n")
    }

    /// `PEXPIRE key milliseconds`
    func appendExpiry(_ key: CounterKey, afterMilliseconds milliseconds: Int) {
        append("*3\r\n$7\r\nPEXPIRE\r\n")
        append(key.argument)
        appendNumber(milliseconds)
    }
}

/// A key in Redis: the caller's, and for a window its number, for a bucket or a log a letter. So no two ways of counting meet.
struct CounterKey {
    /// As commands have it, a bulk string. Kept with the key, which appears in a command a hit.
    let argument: [UInt8]

    init(_ key: [UInt8], window number: Int64) { self.init(key, Array(String(number).utf8)) }
    init(bucket key: [UInt8]) { self.init(key, [UInt8(ascii: "b")]) }
    init(log key: [UInt8]) { self.init(key, [UInt8(ascii: "l")]) }
    init(_ key: [UInt8]) { self.init(key, []) }

    private init(_ key: [UInt8], _ ending: [UInt8]) {
        argument = Array("$\(key.count + ending.count)\r\n".utf8) + key + ending + [13, 10]
    }
}
