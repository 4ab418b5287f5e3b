import HTTPMessage
import Testing

private func post(_ lines: String, version: String = "1.1") -> Outcome<ReadRequest> {
    request("POST / HTTP/\(version)\r\nHost: a\r\n\(lines)\r\n\r\n")
}

@Test(arguments: [
    ("Content-Length: 0", BodyFraming.length(0)), ("Content-Length: 5", .length(5)), ("content-LENGTH:5", .length(5)), ("Content-Length: \t5 \t", .length(5)),
    ("Content-Length: 00005", .length(5)), ("Content-Length: 999999999999999999", .length(999_999_999_999_999_999)),
    ("Transfer-Encoding: chunked", .chunked), ("tRANSFER-eNCODING:\tCHUNKED \t", .chunked), ("X: y", .none),
])
func `one well-formed field frames the body`(lines: String, framing: BodyFraming) {
    #expect(post(lines).accepted?.framing == framing)
}

@Test(arguments: [
    "Content-Length:", "Content-Length: +5", "Content-Length: -5", "Content-Length: -0", "Content-Length: 0x5", "Content-Length: 5a", "Content-Length: a5",
    "Content-Length: 5.0", "Content-Length: 5e1", "Content-Length: 5 5", "Content-Length: 5,", "Content-Length: ,5", "Content-Length: 5, 5", "Content-Length: 5,6",
    "Content-Length: 5;", "Content-Length: \"5\"", "Content-Length: 5_0", "Content-Length: 1000000000000000000000", "Content-Length: 9223372036854775808",
    "Content-Length: 18446744073709551616", "Content-Length: 18446744073709551621", "Content-Length: ５", "Content-Length: 5\u{A0}", "Content-Length: 5\r\nContent-Length: 5",
    "Content-Length: 5\r\nContent-Length: 6", "Content-Length: 0\r\ncontent-length: 0",
    "Transfer-Encoding:", "Transfer-Encoding: identity", "Transfer-Encoding: gzip", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked, gzip",
    "Transfer-Encoding: chunked, identity", "Transfer-Encoding: identity, chunked", "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: chunked,",
    "Transfer-Encoding: ,chunked", "Transfer-Encoding: chunked;q=1", "Transfer-Encoding: xchunked", "Transfer-Encoding: chunkedx", "Transfer-Encoding: chunke",
    "Transfer-Encoding: \"chunked\"", "Transfer-Encoding: chunked\u{A0}", "Transfer-Encoding: chun ked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    "Content-Length: 5\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 5", "Content-Length: 0\r\nTransfer-Encoding: chunked",
])
func `whatever frames a body doubtfully is refused, in a request and in a response`(lines: String) {
    #expect(post(lines).refusal == 400)
    #expect(post(lines, version: "1.0").refusal == 400)
    #expect(post("A: b\r\n\(lines)\r\nC: d").refusal == 400)
    #expect(response("HTTP/1.1 200 OK\r\n\(lines)\r\n\r\n").refusal != nil)
    // A body that cannot be there does not make its length true.
    #expect(response("HTTP/1.1 304 Not Modified\r\n\(lines)\r\n\r\n").refusal != nil)
}

@Test func `HTTP1_0 knows no Transfer-Encoding`() {
    #expect(post("Transfer-Encoding: chunked", version: "1.0").refusal == 400)
    #expect(response("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").refusal != nil)
}

@Test func `a response without a length lasts until the connection does`() {
    #expect(response("HTTP/1.1 200 OK\r\n\r\n").accepted?.framing == .untilClose)
    #expect(response("HTTP/1.1 200 OK\r\n\r\n").accepted?.keepsAlive == false)
    #expect(response("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n").accepted?.keepsAlive == false)
}

@Test(arguments: [100, 102, 103, 199, 204, 304])
func `some statuses never have a body`(status: Int) {
    for lines in ["", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"] {
        #expect(response("HTTP/1.1 \(status) X\r\n\(lines)\r\n").accepted?.framing == BodyFraming.none)
    }
}

@Test func `an answer to HEAD has no body, whatever it says`() {
    for lines in ["", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"] {
        #expect(response("HTTP/1.1 200 OK\r\n\(lines)\r\n", answering: .head).accepted?.framing == BodyFraming.none)
    }
}

@Test func `names that fold into a framing field are known, and frame nothing`() {
    let read = post("Content_Length: 5\r\ntransfer.encoding: chunked\r\nContent.Length: 7").accepted
    #expect(read?.framing == BodyFraming.none)
}
