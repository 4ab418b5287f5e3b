import HTTPMessage
import Testing

private func line(_ requestLine: String) -> Outcome<ReadRequest> { request(requestLine + "\r\nHost: a\r\n\r\n") }

@Test func `a request line says method, target and version`() throws {
    let read = try #require(line("GET /a/b?c=d HTTP/1.1").accepted)
    #expect(read.method == "GET")
    #expect(read.target == "/a/b?c=d")
    #expect(read.path == "/a/b")
    #expect(read.minorVersion == 1)
    #expect(read.keepsAlive)
    #expect(read.framing == .none)
}

@Test(arguments: ["GET", "POST", "get", "M-SEARCH", "!#$%&'*+-.^_`|~09azAZ", "A"])
func `any token is a method`(method: String) {
    #expect(line("\(method) / HTTP/1.1").accepted?.method == method)
}

@Test(arguments: [
    "", " ", "GET", "GET ", "GET /", "GET / ", "GET  HTTP/1.1", "GET  / HTTP/1.1", "GET /  HTTP/1.1", " GET / HTTP/1.1",
    "GET / HTTP/1.1 ", "GET\t/ HTTP/1.1", "GET /\tHTTP/1.1", "GET / a HTTP/1.1", "G(T / HTTP/1.1", "G:T / HTTP/1.1", "G/T / HTTP/1.1",
    "G,T / HTTP/1.1", "G=T / HTTP/1.1", "G\"T / HTTP/1.1", "G[T / HTTP/1.1", "G\u{7F}T / HTTP/1.1", "G\0T / HTTP/1.1", "GÄT / HTTP/1.1",
    "GET /\0 HTTP/1.1", "GET /\u{7F} HTTP/1.1", "GET /\u{1F} HTTP/1.1", "GET /a\u{0B}b HTTP/1.1",
    "GET / HTTP", "GET / HTTP/", "GET / HTTP/1", "GET / HTTP/1.", "GET / HTTP/11", "GET / HTTP/1.1x", "GET / HTTP/1.11", "GET / HTTP/01.1",
    "GET / HTTP/1.01", "GET / HTTP/1,1", "GET / HTTP/1.x", "GET / HTTP/x.1", "GET / http/1.1", "GET / Http/1.1", "GET / HTTPS/1.1", "GET / FTP/1.1",
    "GET / HTTP/-1.1", "GET / HTTP/+1.1", "GET / HTTP /1.1", "GET / HTTP/1 .1", "GET / HTTP/1.1\0", "GET /\rHTTP/1.1", "GET / HTTP/1.1\r",
    "\rGET / HTTP/1.1", "HTTP/1.1 200 OK", "\u{16}\u{03}\u{01}",
])
func `a malformed request line is refused`(requestLine: String) {
    #expect(line(requestLine).refusal == 400)
}

@Test(arguments: ["0.9", "1.2", "1.9", "2.0", "3.0", "9.9", "0.0"])
func `another version is refused by its own status`(version: String) {
    #expect(line("GET / HTTP/\(version)").refusal == 505)
}

@Test func `the HTTP2 preface is a request of another version`() {
    #expect(request("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").refusal == 505)
}

@Test func `a request line may take its limit and not a byte more`() {
    var limits = HeadLimits()
    for limit in [16, 40, 8_192] {
        limits.requestLineBytes = limit
        let path = String(repeating: "a", count: limit - "GET / HTTP/1.1".utf8.count)
        #expect(request("GET /\(path) HTTP/1.1\r\nHost: a\r\n\r\n", limits: limits).accepted != nil)
        #expect(request("GET /\(path)a HTTP/1.1\r\nHost: a\r\n\r\n", limits: limits).refusal == 414)
        #expect(request("GET /\(path)aa", limits: limits).refusal == nil)
        // No need to wait for an end that would come too late.
        #expect(request("GET /\(path)" + String(repeating: "a", count: 20), limits: limits).refusal == 414)
    }
}

@Test func `what is not all there needs more bytes, at every byte`() {
    let message = Array("POST /a?b HTTP/1.1\r\nHost: a:80\r\nContent-Length: 3\r\nX: \r\n\r\n".utf8)
    for count in 0..<message.count {
        #expect(readRequest(Array(message[..<count])) == .needsMoreBytes, "the first \(count) bytes")
    }
    #expect(readRequest(message).accepted?.byteCount == message.count)
    #expect(readRequest(message + Array("abcGET / HTTP/1.1".utf8)).accepted?.byteCount == message.count)
}
