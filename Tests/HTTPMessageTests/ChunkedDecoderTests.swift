import Bytes
import HTTPMessage
import Testing

struct ReadBody: Equatable {
    var data: [UInt8] = []
    var trailers: [Field] = []
    /// What follows the body in the buffer.
    var rest = 0
}

/// Takes a chunked body out of the pieces that `cuts` make of `message`, as the proxy does.
private func decode(_ message: [UInt8], cuts: [Int]) -> Outcome<ReadBody> {
    let buffer = ByteBuffer(capacity: 16)
    var decoder = ChunkedDecoder(limits: HeadLimits())
    var body = ReadBody()
    var start = 0
    do throws(MessageRefusal) {
        for cut in cuts + [message.count] {
            buffer.append(Array(message[start..<cut]))
            start = cut
            reading: while true {
                switch try decoder.next(in: buffer) {
                case .needsMoreBytes: break reading
                case .data(let count):
                    body.data += buffer.bytes.extracting(0..<count).array
                    buffer.consume(count)
                    decoder.took(count)
                case .end(let trailers, let count):
                    body.trailers = texts(trailers, in: buffer.bytes)
                    buffer.consume(count)
                    body.rest = buffer.count + message.count - cut
                    return .accepted(body)
                }
            }
        }
        return .needsMoreBytes
    } catch {
        return .refused(status: error.status)
    }
}

private func body(_ text: String) -> Outcome<ReadBody> {
    let message = Array(text.utf8)
    return whateverTheSplit(message) { decode(message, cuts: $0) }
}

@Test(arguments: [
    ("0\r\n\r\n", ""), ("5\r\nhello\r\n0\r\n\r\n", "hello"), ("1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "abc"), ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
    ("a\r\n0123456789\r\n00\r\n\r\n", "0123456789"), ("005\r\nhello\r\n000\r\n\r\n", "hello"), ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
    ("5;a\r\nhello\r\n0;b=c\r\n\r\n", "hello"), ("5;a=\"b;c\";d\r\nhello\r\n0\r\n\r\n", "hello"), ("5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n"),
])
func `chunks are put together`(text: String, expected: String) {
    #expect(body(text).accepted == ReadBody(data: Array(expected.utf8)))
}

@Test(arguments: [
    "\r\n", "x\r\n", "g\r\n", "-1\r\n", "+1\r\n", " 1\r\n", "\t1\r\n", "0x1\r\n", "1x\r\n", "1h\r\na\r\n", "1,2\r\n", "1_0\r\n", ";\r\n", ";a\r\n", "\"1\"\r\n", "1\n", "1\na\n0\n\n", "1\ra", "\n",
    "ffffffffffffffff\r\n", "8000000000000000\r\n", "10000000000000000\r\n", "1000000000000000\r\n", "0000000000000001\r\n", "7fffffffffffffff\r\n",
    "1\r\na0\r\n", "1\r\nab\r\n", "1\r\na\n", "1\r\na\r0", "1\r\n\r\n0\r\n\r\n", "2\r\na\r\n0\r\n\r\n", "0\r\n\n", "0\n\r\n", "1;a\nb\r\n", "1;\0\r\n", "1;\u{7F}\r\n", "1;a\rb\r\n", "é\r\n", "1\u{A0}\r\n",
    "0\r\nX\r\n\r\n", "0\r\nX : y\r\n\r\n", "0\r\n X: y\r\n\r\n", "0\r\n: y\r\n\r\n", "0\r\nX: y\r\n z\r\n\r\n", "0\r\nX: \0\r\n\r\n", "0\r\nX: y\n\r\n", "0\r\n\rX: y\r\n\r\n", "0\r\nX: a\rb\r\n\r\n",
])
func `a malformed chunk is refused`(text: String) {
    #expect(body(text).refusal == 400)
    #expect(body("3\r\nabc\r\n" + text).refusal == 400)
}

@Test func `sizes and extensions that do not end are refused`() {
    #expect(body(String(repeating: "0", count: 1_000)).refusal == 400)
    #expect(body("1;" + String(repeating: "a", count: 1_000)).refusal == 400)
    #expect(body("1;" + String(repeating: "a", count: 1_000) + "\r\na\r\n0\r\n\r\n").refusal == 400)
}

@Test func `trailers follow the last chunk`() {
    let read = body("1\r\na\r\n0\r\nA: b\r\nC:\td \r\n\r\nGET /").accepted
    #expect(read?.trailers.map(\.description) == ["A: b", "C: d"])
    #expect(read?.rest == 5)
}

@Test func `trailers are limited like a head's fields`() {
    #expect(body("0\r\n" + String(repeating: "A: b\r\n", count: 100) + "\r\n").accepted?.trailers.count == 100)
    #expect(body("0\r\n" + String(repeating: "A: b\r\n", count: 101) + "\r\n").refusal == 431)
    #expect(body("0\r\nA: " + String(repeating: "b", count: 40_000)).refusal == 431)
}

@Test func `a body that is not all there needs more bytes, at every byte`() {
    let message = Array("5;x\r\nhello\r\n1\r\n!\r\n0\r\nA: b\r\n\r\n".utf8)
    for count in 0..<message.count { #expect(decode(Array(message[..<count]), cuts: []) == .needsMoreBytes) }
}

@Test func `the next request is left in the buffer`() {
    #expect(body("1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n").accepted?.rest == 18)
}

@Test(arguments: [1, 9, 10, 15, 16, 17, 255, 256, 4_095, 4_096, 65_536, 1_000_000])
func `what is written as a chunk is read as one`(count: Int) {
    let data = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
    let buffer = ByteBuffer(capacity: 16)
    buffer.append(chunk: data.span)
    buffer.append(chunk: data.span)
    buffer.append("0\r\n\r\n")
    #expect(decode(buffer.bytes.array, cuts: []).accepted == ReadBody(data: data + data))
}
