import HTTPMessage
import Testing

private func target(_ target: String, method: String = "GET", host: String = "a") -> Outcome<ReadRequest> {
    request("\(method) \(target) HTTP/1.1\r\nHost: \(host)\r\n\r\n")
}

@Test(arguments: [
    ("/", "/"), ("/a", "/a"), ("/a/", "/a/"), ("/a/b/c", "/a/b/c"), ("/a?", "/a?"), ("/?a=b", "/?a=b"), ("/a?b?c", "/a?b?c"), ("/.a", "/.a"), ("/a.", "/a."), ("/...", "/..."),
    ("/a/.b/c..d/..e/f..", "/a/.b/c..d/..e/f.."), ("/%70", "/p"), ("/%70rojects/%41", "/projects/A"), ("/a%2db%2Dc%5fd%7Ee%2ef", "/a-b-c_d~e.f"), ("/%30%39", "/09"),
    ("/100%25", "/100%25"), ("/%25", "/%25"), ("/%2525", "/%2525"), ("/%2541", "/%2541"), ("/a%20b", "/a%20b"), ("/%c3%a4", "/%c3%a4"), ("/%3f%23%3b", "/%3f%23%3b"),
    ("/%70?%70", "/p?%70"), ("/%70?", "/p?"), ("/%70%70%70?abcdefghijklm", "/ppp?abcdefghijklm"), ("/a?/../b//c%2f%00%", "/a?/../b//c%2f%00%"), ("/a;b=c,d@e:f!g$h&i'j(k)l*m+n", "/a;b=c,d@e:f!g$h&i'j(k)l*m+n"),
    ("/a:b@c", "/a:b@c"), ("/;", "/;"), ("/...;a", "/...;a"), ("/a..;b", "/a..;b"), ("/~a", "/~a"), ("/.%61", "/.a"), ("/%2ea", "/.a"), ("/.%2e.", "/..."),
])
func `a target has one normal form`(received: String, normal: String) throws {
    let read = try #require(target(received).accepted)
    #expect(read.target == normal)
    #expect(read.path == String(normal.prefix { $0 != "?" }))
    #expect(!read.hasEncodedSlash)
    // What is in its normal form already stays as it is.
    #expect(target(normal).accepted?.target == normal)
}

@Test(arguments: [
    "/.", "/..", "/./", "/../", "/a/.", "/a/..", "/a/./b", "/a/../b", "/../a", "/./a", "/..?a", "/.?a", "/%2e", "/%2e%2e", "/%2E%2e/a", "/.%2e", "/%2e.", "/a/%2e/b", "/a/%2e%2e", "/a/.%2E?b",
    "/.;", "/..;", "/..;/a", "/a/..;b=c/d", "/%2e%2e;/a", "/.;a?b", "/..;;", "//", "//a", "/a//", "/a//b", "///", "/a//?b", "/a///b",
    "/%5c", "/%5C", "/a%5cb", "/\\", "/a\\b", "/a/..\\b",
    "/%00", "/%01", "/%1f", "/%7f", "/%0a", "/%0d", "/%09", "/a%00b",
    "/%252f", "/%252F", "/%252e", "/%252E", "/%255c", "/%255C", "/%2500", "/%250a", "/%257f", "/%25252f", "/%2525252e", "/a%252fb", "/%252e%252e/a",
    "/%", "/%2", "/a%", "/a%2", "/%zz", "/%2g", "/%g2", "/% 2", "/%u002f", "/%-1", "/%+1", "/%/a", "/%?a", "/%2?a", "/%%2f", "/%2%66", "/a/%2%66",
    "/#", "/a#b", "/a?b#c", "/ä", "/a?ä", "/\u{80}",
])
func `an ambiguous or malformed path is refused`(received: String) {
    #expect(target(received).refusal == 400)
    #expect(target("http://a" + received).refusal == 400)
}

@Test(arguments: ["/%25%32%66", "/%252%66", "/%25%32f", "/%25%32e", "/%252%65", "/%25%32%65%25%32%65/a", "/%2525%32%66", "/%25%35c", "/%250%30"])
func `decoding an escape makes no doubled one`(received: String) {
    // Each decodes to a path such as `/%252f`, which is refused when it comes so.
    #expect(target(received).refusal == 400)
}

@Test func `a normal form is its own normal form`() throws {
    // Every path of a few pieces that matter together.
    let pieces = ["/", ".", "%2e", "%25", "2", "%32", "e", "%65", "f", "a", "%2f", "%5c", "?", "%"]
    for first in pieces {
        for second in pieces {
            for third in pieces {
                for fourth in pieces {
                    let message = Array("GET /a\(first)\(second)\(third)\(fourth) HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
                    guard let once = readRequest(message).accepted else { continue }
                    let again = readRequest(Array("GET \(once.target) HTTP/1.1\r\nHost: a\r\n\r\n".utf8)).accepted
                    try #require(again?.target == once.target, "\(once.target)")
                    try #require(again?.path == once.path && again?.hasEncodedSlash == once.hasEncodedSlash)
                }
            }
        }
    }
}

@Test func `a path with nothing to decode is judged as one with an escaped letter`() throws {
    // The escape is what makes it go another way.
    let pieces = ["/", "/", ".", "..", "b", "cd", "e-f", "ghi_jklm~nopq", ";", "?", "\\", "#", "\u{80}", "%2e", "%2f", ":@", "!$"]
    var random = SystemRandomNumberGenerator()
    for _ in 0..<20_000 {
        let rest = (0..<Int.random(in: 0...10, using: &random)).map { _ in pieces.randomElement(using: &random) ?? "" }.joined()
        let (plain, escaped) = (target("/a" + rest), target("/%61" + rest))
        try #require(plain.accepted?.target == escaped.accepted?.target && plain.refusal == escaped.refusal, "/a\(rest)")
        try #require(plain.accepted?.path == escaped.accepted?.path && plain.accepted?.hasEncodedSlash == escaped.accepted?.hasEncodedSlash, "/a\(rest)")
    }
}

@Test(arguments: ["/a%2fb", "/a%2Fb", "/%2f", "/a/%2f", "/%2fa", "/a%2f?b", "/%70%2fb"])
func `an encoded slash is told to whom may let it through`(received: String) {
    #expect(target(received).accepted?.hasEncodedSlash == true)
}

@Test(arguments: ["/a%2f..", "/a%2f../b", "/..%2fa", "/a%2f.", "/.%2fa", "/a%2f%2e%2e", "/a%2f%2e%2e%2fb", "/%2e%2e%2fa", "/a/..%2f..%2f"])
func `no dot segment hides behind an encoded slash`(received: String) {
    #expect(target(received).refusal == 400)
}

@Test(arguments: [
    ("http://a/b", "a", "/b"), ("http://a/b?c", "a", "/b?c"), ("http://a", "a", "/"), ("http://a/", "a", "/"), ("http://a?b", "a", "/?b"), ("HTTP://A/b", "a", "/b"), ("http://a:80/b", "a:80", "/b"),
    ("http://[::1]:3000/b", "[::1]:3000", "/b"), ("http://a/%70", "a", "/p"), ("http://a/http://b", "a", nil), ("http://a?//", "a", "/?//"),
] as [(String, String, String?)])
func `an absolute form is read as its path where its authority is Host`(received: String, host: String, path: String?) {
    #expect(target(received, host: host).accepted?.target == path)
}

@Test(arguments: [
    "http://b/", "http://a.b/", "http://aa/", "http:///", "http://", "http:/a", "http:a", "http:", "http://u@a/", "http://a@b/", "http://a:80/", "http://a:/", "http://a\\/", "https://a/", "ftp://a/", "://a/",
    "//a/", "a/b", "a", "?a", "a:80", "*a", "**", "http://a#/", "http://a%2f/", "http://[a]/", "ws://a/", "http//a/", "javascript:a", "mailto:a@b",
])
func `any other form is refused`(received: String) {
    #expect(target(received).refusal == 400)
}

@Test func `an absolute form without an authority has none that Host could equal`() {
    #expect(request("GET http:///a HTTP/1.0\r\n\r\n").refusal == 400)
    #expect(request("GET http://?a HTTP/1.0\r\n\r\n").refusal == 400)
}

@Test func `an asterisk goes with OPTIONS alone`() {
    #expect(target("*", method: "OPTIONS").accepted?.target == "*")
    for method in ["GET", "POST", "options", "OPTIONSX", "HEAD"] { #expect(target("*", method: method).refusal == 400) }
    #expect(target("*?a", method: "OPTIONS").refusal == 400)
}

@Test func `CONNECT is refused, whatever its target`() {
    for received in ["a:80", "/", "*", "http://a/", "/.."] { #expect(target(received, method: "CONNECT").refusal == 405) }
    // A method is told by its case.
    #expect(target("/", method: "connect").accepted != nil)
}
