import Bytes
import HTTPMessage
import Testing

private func fields(_ lines: String) -> Outcome<ReadRequest> { request("GET / HTTP/1.1\r\nHost: a\r\n\(lines)\r\n") }

@Test func `a field line is a name and a value without the blanks around it`() {
    let read = fields("A:b\r\nC: d\r\nE:  \t f g\t h \t\r\nI:\r\nJ: \t \r\n").accepted
    #expect(read?.fields.dropFirst().map(\.description) == ["A: b", "C: d", "E: f g\t h", "I: ", "J: "])
}

@Test func `any token is a name, and any byte from 0x80 may stand in a value`() {
    #expect(fields("!#$%&'*+-.^_`|~09azAZ: \u{E4}\u{10FFFF}\r\n").accepted?.fields.last?.value == "\u{E4}\u{10FFFF}")
}

@Test(arguments: [
    " X: y", "\tX: y", "X : y", "X\t: y", "X", "X y", ": y", ":", " ", "\t", "X: y\r\n z", "X: y\r\n\tz", "X: y\r\n ", "(X): y", "X/Y: z", "X[]: y", "{X}: y",
    "X@: y", "\"X\": y", "X,: y", "X;: y", "X\\: y", "X=: y", "X?: y", "X<: y", "X>: y", "X\u{7F}: y", "X\0: y", "X\u{01}: y", "Ä: y", "X\r: y", "X: a\rb",
    "X: a\r\r", "X: \r", "X:\0", "X: a\0b", "X: a\u{01}b", "X: a\u{0B}b", "X: a\u{0C}b", "X: a\u{1F}b", "X: a\u{7F}b", "X: \u{08}", "\r", "\rX: y", "\0", "GET / HTTP/1.1",
])
func `a malformed field line is refused`(line: String) {
    #expect(fields(line + "\r\n").refusal == 400)
    #expect(fields("Fine: yes\r\n" + line + "\r\nFine: yes\r\n").refusal == 400)
    #expect(request("GET / HTTP/1.1\r\n\(line)\r\nHost: a\r\n\r\n").refusal == 400)
}

@Test func `no control character passes in any place of a name or a value`() {
    // Around the sixteen bytes that are looked at together, so every offset matters.
    for byte in (UInt8(0)...0x20).filter({ $0 != 0x0A }) + [0x7F] {
        for offset in 0..<20 {
            var value = Array("abcdefghijklmnopqrstu".utf8)
            value[offset] = byte
            let isBlank = byte == 0x20 || byte == 0x09
            let inValue = readRequest(Array("GET / HTTP/1.1\r\nHost: a\r\nX: ".utf8) + value + Array("\r\n\r\n".utf8))
            #expect((inValue.refusal == 400) == !isBlank, "byte \(byte) at \(offset) of a value")
            let inName = readRequest(Array("GET / HTTP/1.1\r\nHost: a\r\n".utf8) + value + Array(": x\r\n\r\n".utf8))
            #expect(inName.refusal == 400, "byte \(byte) at \(offset) of a name")
            let inTarget = readRequest(Array("GET /".utf8) + value + Array(" HTTP/1.1\r\nHost: a\r\n\r\n".utf8))
            #expect(inTarget.refusal == 400, "byte \(byte) at \(offset) of a target")
        }
    }
}

@Test func `a line that ends with LF alone is refused at once`() {
    for head in ["GET / HTTP/1.1\n", "\n", "GET / HTTP/1.1\r\nHost: a\n", "GET / HTTP/1.1\r\nHost: a\r\n\n", "GET / HTTP/1.1\r\nHost: a\r\nX\n"] {
        #expect(request(head).refusal == 400)
    }
}

@Test func `a CR without its LF is refused at once`() {
    // Else a head without any LF would wait for its end, and be answered 408.
    for head in ["GET / HTTP/1.1\rHost: a\r\r", "GET / HTTP/1.1\r\nHost: a\r\n\r\r\n", "GET / HTTP/1.1\r\nHost: a\rX: y\r\n", "\r\r"] {
        #expect(request(head).refusal == 400)
    }
}

@Test func `fields may be as many and as large as their limits, and no more`() {
    var limits = HeadLimits()
    limits.headerCount = 5
    let four = "A: b\r\nA: b\r\nA: b\r\nA: b\r\n"
    #expect(request("GET / HTTP/1.1\r\nHost: a\r\n\(four)\r\n", limits: limits).accepted?.fields.count == 5)
    #expect(request("GET / HTTP/1.1\r\nHost: a\r\n\(four)B: c\r\n\r\n", limits: limits).refusal == 431)

    limits = HeadLimits()
    limits.headerBytes = 100
    let value = String(repeating: "v", count: 100 - "Host: a\r\nX: \r\n".utf8.count)
    #expect(request("GET / HTTP/1.1\r\nHost: a\r\nX: \(value)\r\n\r\n", limits: limits).accepted != nil)
    #expect(request("GET / HTTP/1.1\r\nHost: a\r\nX: \(value)v\r\n\r\n", limits: limits).refusal == 431)
    #expect(request("GET / HTTP/1.1\r\nHost: a\r\nX: \(value)vvvv", limits: limits).refusal == 431)
}

@Test(arguments: [
    "a", "a:80", "a:0", "a:65535", "a.b.c", "1.2.3.4:5", "[::1]", "[::1]:80", "[2001:db8::ffff:1.2.3.4]", "a-b_c~d", "xn--hst-sna",
])
func `a Host is a name or an address with or without a port`(host: String) {
    #expect(request("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n").accepted?.host == host)
}

@Test(arguments: [
    "", "a b", "a/b", "/", "a/", "u@a", "u:p@a", "@", "a@", "[::1", "::1", "::1]", "[]", "[", "]", "[]:80", "[::1]a", "[::1]:", "[::1]:a", "[g::1]", "[:]", "[1]", "[::1]]",
    "[[::1]]", "a:", ":", ":80", "a:65536", "a:99999", "a:100000", "a:080000", "a:-1", "a:+1", "a:8a", "a:80:80", "a::80", "a?b", "a#b", "a\\b", "a\"b", "<a>", "a^b",
    "a`b", "a{b}", "a|b", "a%", "a%4", "a%zz", "ä", "a, a", "http://a",
])
func `anything else is no Host`(host: String) {
    #expect(request("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n").refusal == 400)
    #expect(request("GET / HTTP/1.0\r\nHost: \(host)\r\n\r\n").refusal == 400)
}

@Test func `there is one Host, but HTTP1_0 may have none`() {
    #expect(request("GET / HTTP/1.1\r\n\r\n").refusal == 400)
    #expect(request("GET / HTTP/1.1\r\nX-Host: a\r\n\r\n").refusal == 400)
    #expect(request("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n").refusal == 400)
    #expect(request("GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n").refusal == 400)
    #expect(request("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n").refusal == 400)
    #expect(request("GET / HTTP/1.0\r\n\r\n").accepted?.host == "")
}

@Test(arguments: [
    ("1.1", "", true), ("1.1", "close", false), ("1.1", "CLOSE", false), ("1.1", "keep-alive", true), ("1.1", "x, close", false),
    ("1.1", "keep-alive, close", false), ("1.0", "", false), ("1.0", "keep-alive", true), ("1.0", "Keep-Alive", true), ("1.0", "keep-alive, close", false),
    ("1.0", "close", false), ("1.1", ",,close,,", false), ("1.1", "closed", true), ("1.0", "x-keep-alive", false),
])
func `a connection is kept as version and Connection say`(version: String, option: String, isKept: Bool) {
    #expect(request("GET / HTTP/\(version)\r\nHost: a\r\nConnection: \(option)\r\n\r\n").accepted?.keepsAlive == isKept)
    #expect(response("HTTP/\(version) 200 OK\r\nContent-Length: 0\r\nConnection: \(option)\r\n\r\n").accepted?.keepsAlive == isKept)
}

@Test func `several Connection fields count as one`() {
    #expect(request("GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: y, close\r\n\r\n").accepted?.keepsAlive == false)
}

@Test(arguments: ["a b", "a;b", "\"close\"", "a/b", "(x)", "close;q=1"])
func `a Connection option is a token`(option: String) {
    #expect(request("GET / HTTP/1.1\r\nHost: a\r\nConnection: \(option)\r\n\r\n").refusal == 400)
}

@Test func `only HTTP1_1 can expect to continue`() {
    #expect(request("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n\r\n").accepted?.expectsContinue == true)
    #expect(request("POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\n\r\n").accepted?.expectsContinue == false)
    #expect(request("POST / HTTP/1.1\r\nHost: a\r\nExpect: something\r\n\r\n").accepted?.expectsContinue == false)
}

@Test func `a name may be taken for another where only case, underscore and dot differ`() {
    for name in ["x-user-id", "X-USER-ID", "x_user_id", "X.User.Id", "x-user_iD"] { #expect(mayBeTaken(name, for: "x-user-id"), "\(name)") }
    for name in ["x-user-i", "x-user-idd", "xuser-id", "x--user-id", "x-user-ib", "x+user-id", ""] {
        #expect(!mayBeTaken(name, for: "x-user-id"), "\(name)")
    }
}

@Test func `a name of any length is told by each of its bytes from those that it may not be taken for`() {
    func folded(_ byte: UInt8) -> UInt8 { byte.lowercasedASCII.foldedInHeaderName }
    for count in [1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33] {
        for place in 0..<count {
            for own in "az-_.09`{@[".utf8 {
                var owned = [UInt8](repeating: UInt8(ascii: "x"), count: count)
                owned[place] = own
                for byte in UInt8.min...UInt8.max {
                    var name = [UInt8](repeating: UInt8(ascii: "X"), count: count)
                    name[place] = byte
                    let isTaken = name.span.mayBeTaken(for: owned.span)
                    #expect(isTaken == (folded(byte) == folded(own)))
                    if isTaken { #expect(name.span.foldedNameBit == owned.span.foldedNameBit) }
                }
            }
        }
    }
}

@Test func `no other byte of a name may differ, wherever it stands`() {
    for (owned, count) in [("-", 1), ("a", 1), ("x-id.z_", 7), ("x-user-i", 8), ("x-user_id", 9), ("x-ratelimit.reset-at", 20)] {
        for place in 0..<count {
            for byte in UInt8.min...(.max) {
                var name = Array(owned.utf8)
                let before = name[place]
                name[place] = byte
                let mayBeTaken = name.span.mayBeTaken(for: Array(owned.utf8).span)
                #expect(mayBeTaken == (byte.lowercasedASCII.foldedInHeaderName == before.foldedInHeaderName), "\(owned) \(place) \(byte)")
            }
        }
    }
}

private func mayBeTaken(_ name: String, for owned: String) -> Bool {
    let (name, owned) = (Array(name.utf8), Array(owned.utf8))
    return name.span.mayBeTaken(for: owned.span)
}
