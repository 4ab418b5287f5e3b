import HTTPMessage
import Testing

@Test func `a status line says version, status and reason`() {
    let read = response("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n").accepted
    #expect(read?.status == 404)
    #expect(read?.reason == "Not Found")
    #expect(read?.minorVersion == 1)
    #expect(read?.framing == .length(2))
    #expect(read?.fields == [Field(name: "Content-Length", value: "2")])
}

@Test(arguments: ["HTTP/1.1 200 ", "HTTP/1.1 200", "HTTP/1.0 200 OK", "HTTP/1.1 200 a\tb", "HTTP/1.1 599 \u{E4}", "HTTP/1.1 100 Continue"])
func `a reason may be anything printable, or nothing`(line: String) {
    #expect(response(line + "\r\n\r\n").accepted != nil)
}

@Test(arguments: [
    "", "HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 2", "HTTP/1.1 20", "HTTP/1.1 2000", "HTTP/1.1 20x OK", "HTTP/1.1 -20 OK", "HTTP/1.1 +20 OK", "HTTP/1.1  200 OK", "HTTP/1.1\t200 OK",
    "HTTP/1.1 200\tOK", "HTTP/1.1 200OK", "HTTP/1.1 099 X", "HTTP/1.1 000 X", "HTTP/1.1 600 X", "HTTP/1.1 999 X", "HTTP/2.0 200 OK", "HTTP/1.2 200 OK", "HTTP/0.9 200 OK",
    "http/1.1 200 OK", "HTTP/1 200 OK", "HTTP/11 200 OK", "HTTP/1.1x 200 OK", " HTTP/1.1 200 OK", "ICY 200 OK", "GET / HTTP/1.1", "<html>", "HTTP/1.1 200 O\0K",
    "HTTP/1.1 200 O\u{01}K", "HTTP/1.1 200 O\u{7F}K", "HTTP/1.1 200 O\rK", "HTTP/1.1 200 OK\r", "HTTP/1.1 200 \u{0B}",
])
func `anything else is no status line`(line: String) {
    #expect(response(line + "\r\nContent-Length: 0\r\n\r\n").refusal != nil)
    #expect(response(line + "\r\n\r\n").refusal != nil)
}

@Test(arguments: ["X : y", "X", ": y", " X: y", "X: y\r\n z", "X: \0", "X: a\rb", "X\u{01}: y", "(X): y"])
func `a response's fields are read as strictly as a request's`(line: String) {
    #expect(response("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\(line)\r\n\r\n").refusal != nil)
}

@Test func `a bare LF ends no line of a response`() {
    #expect(response("HTTP/1.1 200 OK\nContent-Length: 0\n\n").refusal != nil)
    #expect(response("HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n").refusal != nil)
}

@Test func `a response that is not all there needs more bytes, at every byte`() {
    let message = Array("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n".utf8)
    for count in 0..<message.count { #expect(readResponse(Array(message[..<count])) == .needsMoreBytes) }
    #expect(readResponse(message + Array("abc".utf8)).accepted?.byteCount == message.count)
}

@Test func `every status has a phrase`() {
    for status in UInt16(100)...599 { #expect(StatusCode.phrase(status).utf8CodeUnitCount > 0) }
    #expect("\(StatusCode.phrase(431))" == "Request Header Fields Too Large")
}
