import Bytes

// Commands in RESP: an array of bulk strings, each with its length before it.
extension ByteBuffer {
    func appendCommand(_ arguments: [String]) {
        appendCommandHead(arguments.count)
        for argument in arguments {
            append(UInt8(ascii: "$"))
            append(decimal: argument.utf8.count)
            append("\r\n")
            append(utf8: argument)
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

    /// `INCRBY key number`
    func appendIncrement(_ key: WindowKey, by number: Int) {
        append("*3\r\n$6\r\nINCRBY\r\n")
        append(key.argument)
        if number == 1 { append("$1\r\n1\r\n") } else { appendNumber(number) }
    }

    /// `GET key`
    func appendGet(_ key: WindowKey) {
        append("*2\r\n$3\r\nGET\r\n")
        append(key.argument)
    }

    /// `SET key 0 PX milliseconds NX`: where there is no such key, makes one that counts nothing yet and will expire.
    func appendBirth(_ key: WindowKey, expiresAfterMilliseconds milliseconds: Int) {
        append("*6\r\n$3\r\nSET\r\n")
        append(key.argument)
        append("$1\r\n0\r\n$2\r\nPX\r\n")
        appendNumber(milliseconds)
        append("$2\r\nNX\r\n")
    }

    /// `PEXPIRE key milliseconds`
    func appendExpiry(_ key: WindowKey, afterMilliseconds milliseconds: Int) {
        append("*3\r\n$7\r\nPEXPIRE\r\n")
        append(key.argument)
        appendNumber(milliseconds)
    }
}

/// The key of one window in Redis: the caller's prefix and the window's number.
struct WindowKey {
    /// As commands have it, a bulk string. Kept with the key, which appears in a command a hit.
    let argument: [UInt8]

    init(_ prefix: [UInt8], _ number: Int64) {
        let digits = Array(String(number).utf8)
        argument = Array("$\(prefix.count + digits.count)\r\n".utf8) + prefix + digits + [13, 10]
    }
}
