import HTTP2
import Testing

@Suite struct `A malformed request` {
    private static let sound: [(String, String)] = [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "a")]

    private static func table() -> [(String, [(String, String)])] {
        var rows: [(String, [(String, String)])] = []
        func add(_ what: String, _ fields: [(String, String)]) { rows.append((what, fields)) }
        add("no method", [(":scheme", "http"), (":path", "/")])
        add("no path", [(":method", "GET"), (":scheme", "http")])
        add("an empty path", [(":method", "GET"), (":scheme", "http"), (":path", "")])
        add("a method twice", [(":method", "GET")] as [(String, String)] + sound)
        add("an unknown pseudo-header", [(":odd", "x")] as [(String, String)] + sound)
        add("a response's pseudo-header", [(":status", "200")] as [(String, String)] + sound)
        add("a pseudo-header behind a field", [("a", "b")] as [(String, String)] + sound)
        add("connection", sound + ([("connection", "close")] as [(String, String)]))
        add("keep-alive", sound + ([("keep-alive", "1")] as [(String, String)]))
        add("proxy-connection", sound + ([("proxy-connection", "x")] as [(String, String)]))
        add("transfer-encoding", sound + ([("transfer-encoding", "chunked")] as [(String, String)]))
        add("upgrade", sound + ([("upgrade", "h2c")] as [(String, String)]))
        add("te other than trailers", sound + ([("te", "gzip")] as [(String, String)]))
        add("upper case", sound + ([("X-Up", "1")] as [(String, String)]))
        add("a blank in a name", sound + ([("a b", "1")] as [(String, String)]))
        add("a line break in a value", sound + ([("a", "1\r\nb: 2")] as [(String, String)]))
        add("a NUL in a value", sound + ([("a", "\0")] as [(String, String)]))
        add("a content-length of words", sound + ([("content-length", "x")] as [(String, String)]))
        add("two content-lengths", sound + ([("content-length", "0"), ("content-length", "0")] as [(String, String)]))
        return rows
    }

    @Test(arguments: table())
    func `resets its stream and reaches nobody`(_ what: String, _ fields: [(String, String)]) {
        let peer = Peer()
        peer.greet()
        peer.receive(peer.headers(1, fields))
        #expect(peer.requests.isEmpty, "\(what)")
        #expect(peer.reset() == 1 || peer.closings[1] == .internalError, "\(what)")
        peer.receive(peer.headers(3))
        #expect(peer.requests.map(\.id) == [3], "\(what): the next is served")
    }

    @Test func `whose content is not as long as it said is reset`() {
        let peer = Peer()
        peer.greet()
        peer.receive(peer.headers(1, Self.sound + [("content-length", "3")], isEnd: false) + peer.frame(0, 1, 1, [1]))
        #expect(peer.ended.isEmpty)
        #expect(peer.reset() == 1)
    }

    @Test func `with too large a header section is answered with 431, and the next is served`() {
        var limits = SessionLimits()
        limits.headerListBytes = 300
        let peer = Peer(limits)
        peer.greet()
        peer.receive(peer.headers(1, Self.sound + [("a", String(repeating: "x", count: 200))], isEnd: false))
        let frames = peer.frames()
        #expect(frames.map(\.type) == [1, 3])
        #expect(peer.requests.isEmpty)
        peer.receive(peer.headers(3))
        #expect(peer.ended == [3])
    }

    @Test func `on top of the streams that may be open is refused`() {
        var limits = SessionLimits()
        limits.concurrentStreams = 1
        let peer = Peer(limits)
        peer.answers = false
        peer.greet()
        peer.receive(peer.headers(1) + peer.headers(3))
        #expect(peer.requests.map(\.id) == [1])
        #expect(peer.reset() == 7)
        // Once the client has acknowledged the limit, it can't claim not to know it.
        peer.receive(peer.frame(4, 1, 0, []) + peer.headers(5))
        #expect(peer.requests.map(\.id) == [1])
        #expect(peer.goAway() == 1)
    }
}

@Suite struct `Bytes that are no HTTP/2` {
    @Test func `end the session at once, with a reason`() {
        let peer = Peer()
        peer.receive(Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8))
        #expect(peer.session.isOver)
        #expect(peer.session.ending != nil)
    }

    @Test(arguments: [
        "a frame too long": (0, 0, 1, 20_000), "DATA on no stream": (0, 0, 0, 4), "DATA on an idle stream": (0, 0, 5, 4), "SETTINGS of 5 bytes": (4, 0, 0, 5),
        "PING of 7 bytes": (6, 0, 0, 7), "WINDOW_UPDATE by nothing": (8, 0, 0, 4), "a CONTINUATION of nothing": (9, 4, 1, 4), "HEADERS on an even stream": (1, 5, 2, 0),
        "PUSH_PROMISE": (5, 4, 1, 8),
    ] as [String: (UInt8, UInt8, Int, Int)])
    func `end the session with GOAWAY`(_ what: String, _ frame: (UInt8, UInt8, Int, Int)) {
        let peer = Peer()
        peer.greet()
        peer.receive(peer.frame(frame.0, frame.1, frame.2, Array(repeating: 0, count: frame.3)))
        #expect((peer.goAway() ?? 0) != 0, "\(what)")
        #expect(peer.session.isOver, "\(what)")
    }

    @Test func `never trap: recorded exchanges with random changes`() {
        var generator = SystemRandomNumberGenerator()
        let sample = Peer()
        let recorded =
            Peer.preface + sample.frame(4, 0, 0, [0, 4, 0, 1, 0, 0]) + sample.headers(1, isEnd: false) + sample.frame(0, 1, 1, [1, 2, 3, 4, 5])
            + sample.frame(6, 0, 0, Array(0..<8)) + sample.headers(3) + sample.frame(8, 0, 0, [0, 0, 4, 0]) + sample.frame(3, 0, 3, [0, 0, 0, 8])
        for _ in 0..<3_000 {
            var bytes = recorded
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let index = Int.random(in: Peer.preface.count..<bytes.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
                case 1: bytes.remove(at: index)
                default: bytes.insert(contentsOf: bytes[index...].prefix(Int.random(in: 0..<30, using: &generator)), at: index)
                }
            }
            let peer = Peer()
            let cut = Int.random(in: 0...bytes.count, using: &generator)
            peer.receive(Array(bytes[..<cut]))
            peer.receive(Array(bytes[cut...]))
            _ = peer.frames()
        }
    }
}
