import Bytes
import Testing

@testable import Counters

private func bytes(_ write: (ByteBuffer) -> Void) -> String {
    let buffer = ByteBuffer(capacity: 16)
    write(buffer)
    return buffer.bytes.text
}

private let windowKey = CounterKey(Array("ratelimit:é:".utf8), window: 28_866_880)

@Test func `commands are arrays of bulk strings, their lengths in bytes`() {
    #expect(bytes { $0.appendCommand(["AUTH", "é", ""]) } == "*3\r\n$4\r\nAUTH\r\n$2\r\né\r\n$0\r\n\r\n")
    let key = "$21\r\nratelimit:é:28866880\r\n"
    #expect(bytes { $0.appendIncrement(windowKey, by: 1) } == "*3\r\n$6\r\nINCRBY\r\n\(key)$1\r\n1\r\n")
    #expect(bytes { $0.appendIncrement(windowKey, by: -120) } == "*3\r\n$6\r\nINCRBY\r\n\(key)$4\r\n-120\r\n")
    #expect(bytes { $0.appendIncrement(windowKey, by: 10) } == "*3\r\n$6\r\nINCRBY\r\n\(key)$2\r\n10\r\n")
    #expect(bytes { $0.appendGet(windowKey) } == "*2\r\n$3\r\nGET\r\n\(key)")
    #expect(
        bytes { $0.appendBirth(windowKey, expiresAfterMilliseconds: 99_000) }
            == "*6\r\n$3\r\nSET\r\n\(key)$1\r\n0\r\n$2\r\nPX\r\n$5\r\n99000\r\n$2\r\nNX\r\n")
    #expect(
        bytes { $0.appendExpiry(windowKey, afterMilliseconds: 1) } == "*3\r\n$7\r\nPEXPIRE\r\n\(key)$1\r\n1\r\n")
}

@Test func `a script is run by its name, or sent whole`() {
    let script = RedisScript(source: "return 'é'", sha1: "0123456789012345678901234567890123456789")
    let key = CounterKey(bucket: Array("a:".utf8))
    #expect(
        bytes { $0.appendEvaluation(of: script, asSource: false, key, [7, -1]) }
            == "*6\r\n$7\r\nEVALSHA\r\n$40\r\n\(script.sha1)\r\n$1\r\n1\r\n$3\r\na:b\r\n$1\r\n7\r\n$2\r\n-1\r\n")
    #expect(
        bytes { $0.appendEvaluation(of: script, asSource: true, key, []) }
            == "*4\r\n$4\r\nEVAL\r\n$11\r\nreturn 'é'\r\n$1\r\n1\r\n$3\r\na:b\r\n")
}
