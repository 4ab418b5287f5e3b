import Bytes
import HTTP2
import Testing

@Suite struct `A session` {
    @Test func `hands over a request and sends its answer`() {
        let peer = Peer()
        peer.greet()
        peer.receive(peer.headers(1, isEnd: false) + peer.frame(0, 1, 1, Array("hello".utf8)))
        #expect(peer.requests.map(\.fields) == [[":method": "POST", ":scheme": "http", ":path": "/", ":authority": "a"]])
        #expect(peer.contents == [1: Array("hello".utf8)])
        #expect(peer.ended == [1])
        #expect(peer.closings == [1: .noError])
        #expect(peer.frames().filter { $0.type == 1 } == [Peer.Frame(type: 1, flags: 5, stream: 1, payload: [0x88])])
        #expect(!peer.session.isOver)
    }

    @Test func `reads input that comes byte by byte`() {
        let peer = Peer()
        for byte in Peer.preface + peer.frame(4, 0, 0, []) + peer.headers(1, isEnd: false) + peer.frame(0, 1, 1, [1, 2, 3]) { peer.receive([byte]) }
        #expect(peer.contents == [1: [1, 2, 3]])
        #expect(peer.ended == [1])
    }

    @Test func `knows whether a frame has come in part, and which`() {
        let peer = Peer()
        #expect(peer.session.unfinishedFrame == 0)
        peer.greet()
        #expect(peer.session.unfinishedFrame == nil)
        let frame = peer.headers(1, isEnd: false)
        let next = peer.frame(0, 1, 1, [UInt8](repeating: 1, count: 300))
        var seen: [Int?] = []
        for byte in frame + next + next {
            peer.receive([byte])
            seen.append(peer.session.unfinishedFrame)
        }
        let (first, second) = (frame.count - 1, next.count - 1)
        #expect(Set(seen[..<first]).count == 1 && seen[first] == nil)
        #expect(Set(seen[(first + 1)..<(first + 1 + second)]).count == 1 && seen[first + 1 + second] == nil)
        #expect(Set(seen).count == 4, "each has a number of its own")
        peer.receive(next + next[..<200])
        let part = peer.session.unfinishedFrame
        peer.receive(Array(next[200...] + next[..<200]))
        #expect(part != nil && peer.session.unfinishedFrame != nil && peer.session.unfinishedFrame != part)
    }

    @Test func `sends content and trailers, as far as the client's window goes`() throws {
        let peer = Peer()
        peer.answers = false
        peer.greet()
        peer.receive(peer.headers(1))
        let stream = try #require(peer.streams[1])
        stream.answer(FieldList([(":status", "200")]))
        stream.send([UInt8](repeating: 7, count: 70_000).span)
        stream.end(trailers: FieldList([("grpc-status", "0")]))
        peer.session.flush(for: peer)
        let sent = peer.frames()
        #expect(sent.filter { $0.type == 0 }.map(\.payload.count).reduce(0, +) == 65_535)
        #expect(sent.last?.flags == 0 && stream.unsentByteCount == 70_000 - 65_535)
        peer.receive(peer.frame(8, 0, 0, [0, 0, 0xFF, 0xFF]) + peer.frame(8, 0, 1, [0, 0, 0xFF, 0xFF]))
        let rest = peer.frames()
        #expect(rest.filter { $0.type == 0 }.map(\.payload.count).reduce(0, +) == 70_000 - 65_535)
        #expect(rest.last?.type == 1 && rest.last?.flags == 5)
        #expect(peer.closings == [1: .noError])
    }

    @Test func `keeps a client from sending more than was consumed`() throws {
        var limits = SessionLimits()
        limits.streamWindowBytes = 1_000
        let peer = Peer(limits)
        peer.consumes = false
        peer.greet()
        peer.receive(peer.frame(4, 1, 0, []))
        peer.receive(peer.headers(1, isEnd: false) + peer.frame(0, 0, 1, Array(repeating: 0, count: 1_000)))
        #expect(peer.frames().isEmpty)
        try #require(peer.streams[1]).consume(1_000)
        peer.session.flush(for: peer)
        #expect(peer.frames() == [Peer.Frame(type: 8, flags: 0, stream: 1, payload: [0, 0, 3, 0xE8])])
        peer.receive(peer.frame(0, 0, 1, Array(repeating: 0, count: 1_001)))
        #expect(peer.reset() == 3)
    }

    @Test func `drains: announces it, serves what is open, then is over`() throws {
        let peer = Peer()
        peer.answers = false
        peer.greet()
        peer.receive(peer.headers(1))
        peer.session.drain()
        let announced = peer.frames()
        #expect(announced.map(\.type) == [7, 6])
        #expect(announced[0].payload == [0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0])
        peer.receive(peer.headers(3))   // was under way
        peer.receive(peer.frame(6, 1, 0, announced[1].payload))
        #expect(peer.frames().first { $0.type == 7 }?.payload == [0, 0, 0, 3, 0, 0, 0, 0])
        #expect(!peer.session.isOver)
        for id: Int32 in [1, 3] { try #require(peer.streams[id]).answer(FieldList([(":status", "200")]), isEnd: true) }
        peer.session.flush(for: peer)
        #expect(peer.session.isOver)
        #expect(peer.session.ending == nil)
    }

    @Test func `sends interim answers ahead of the answer, and none behind it`() throws {
        let peer = Peer()
        peer.greet()
        peer.answers = false
        peer.receive(peer.headers(1))
        let stream = try #require(peer.streams[1])
        let interim = FieldList([(":status", "103"), ("link", "</a>")])
        stream.answerInterim(interim.fields.span, in: interim.bytes.span)
        stream.answer(FieldList([(":status", "200")]), isEnd: true)
        stream.answerInterim(interim.fields.span, in: interim.bytes.span)
        peer.session.flush(for: peer)
        let frames = peer.frames()
        #expect(frames.map(\.type) == [1, 1])
        #expect(frames.map { $0.flags & 1 } == [0, 1])
    }

    @Test func `stops writing where its output is not taken, and goes on once it is`() throws {
        var limits = SessionLimits()
        limits.outputBytes = 20_000
        let peer = Peer(limits)
        peer.receive(Peer.preface + peer.frame(4, 0, 0, [0, 4, 0x7F, 0xFF, 0xFF, 0xFF]) + peer.frame(8, 0, 0, [0x40, 0, 0, 0]))
        _ = peer.frames()
        peer.answers = false
        peer.receive(peer.headers(1))
        let stream = try #require(peer.streams[1])
        stream.answer(FieldList([(":status", "200")]))
        stream.send([UInt8](repeating: 7, count: 100_000).span)
        stream.end()
        peer.session.flush(for: peer)
        #expect(peer.session.output.count >= 20_000)
        #expect(peer.session.output.count < 40_000)
        #expect(peer.session.wantsWrite)
        var contentCount = 0
        while stream.unsentByteCount > 0 || peer.session.wantsWrite {
            contentCount += peer.frames().filter { $0.type == 0 }.map(\.payload.count).reduce(0, +)
            peer.session.flush(for: peer)
        }
        contentCount += peer.frames().filter { $0.type == 0 }.map(\.payload.count).reduce(0, +)
        #expect(contentCount == 100_000)
    }

    @Test func `an answered request whose rest nobody wants is reset without an error`() throws {
        let peer = Peer()
        peer.greet()
        peer.receive(peer.headers(1, isEnd: false) + peer.headers(3, isEnd: false))
        let (first, second) = (try #require(peer.streams[1]), try #require(peer.streams[3]))
        first.answer(FieldList([(":status", "200")]), isEnd: true)
        first.abandonRequest()
        peer.session.flush(for: peer)
        #expect(peer.reset() == 0)
        second.answer(FieldList([(":status", "200")]), isEnd: true)
        peer.session.flush(for: peer)
        #expect(peer.reset() == nil)
        second.abandonRequest()
        peer.session.flush(for: peer)
        #expect(peer.reset() == 0)
    }

    @Test func `closes its streams where the connection is gone`() {
        let peer = Peer()
        peer.greet()
        peer.answers = false
        peer.receive(peer.headers(1) + peer.headers(3, isEnd: false))
        peer.session.closeStreams(for: peer)
        #expect(peer.closings == [1: .cancel, 3: .cancel])
        #expect(peer.session.streamCount == 0)
    }

    @Test func `sends nothing more of streams that were closed because it is over`() throws {
        var limits = SessionLimits()
        limits.outputBytes = 20_000
        let peer = Peer(limits)
        peer.receive(Peer.preface + peer.frame(4, 0, 0, [0, 4, 0x7F, 0xFF, 0xFF, 0xFF]) + peer.frame(8, 0, 0, [0x40, 0, 0, 0]))
        _ = peer.frames()
        peer.answers = false
        for id in [1, 3, 5] { peer.receive(peer.headers(id)) }
        for id: Int32 in [1, 3, 5] {
            let stream = try #require(peer.streams[id])
            stream.answer(FieldList([(":status", "200")]))
            stream.send([UInt8](repeating: 7, count: 100_000).span)
            stream.end()
        }
        // A flood, while most of the answers wait for room in the output.
        peer.receive(peer.frame(1, 0, 7, peer.block([(":method", "GET")])))
        for _ in 0...8 { peer.receive(peer.frame(9, 0, 7, [])) }
        #expect(peer.session.isOver)
        peer.session.closeStreams(for: peer)
        #expect(peer.closings.count == 4)
        _ = peer.frames()
        peer.session.flush(for: peer)
        let rest = peer.frames()
        #expect(rest.allSatisfy { $0.type == 3 || $0.type == 7 }, "\(rest.map(\.type))")
    }

    @Test func `resets the streams whose whole answer the client does not take, and no other`() throws {
        let peer = Peer()
        // Each stream's window is 1,000 bytes.
        peer.receive(Peer.preface + peer.frame(4, 0, 0, [0, 4, 0, 0, 3, 0xE8]))
        peer.answers = false
        for id in [1, 3, 5] { peer.receive(peer.headers(id)) }
        for id: Int32 in [1, 3, 5] {
            let stream = try #require(peer.streams[id])
            stream.answer(FieldList([(":status", "200")]))
            stream.send([UInt8](repeating: 7, count: 40_000).span)
            if id != 5 { stream.end() }
        }
        func look() -> [Int] {
            peer.session.flush(for: peer)
            peer.session.resetStalled()
            peer.session.flush(for: peer)
            return peer.frames().filter { $0.type == 3 }.map(\.stream)
        }
        #expect(look() == [])
        peer.receive(peer.frame(8, 0, 1, [0, 0, 0x4E, 0x20]) + peer.frame(6, 0, 0, Array(repeating: 0, count: 8)))
        #expect(look() == [3])
        peer.receive(peer.frame(8, 0, 1, [0, 0, 0, 1]))
        #expect(look() == [])
        #expect(look() == [1])
        #expect(peer.closings == [1: .cancel, 3: .cancel])
        #expect(peer.session.unsentByteCount == 39_000)
    }

    @Test func `resets no stream that waits for the others' content to be taken`() throws {
        let peer = Peer()
        peer.receive(Peer.preface + peer.frame(4, 0, 0, [0, 4, 0, 0xFF, 0xFF, 0xFF]))
        peer.answers = false
        for id in [1, 3, 5, 7] { peer.receive(peer.headers(id)) }
        for id: Int32 in [1, 3, 5, 7] {
            let stream = try #require(peer.streams[id])
            stream.answer(FieldList([(":status", "200")]))
            stream.send([UInt8](repeating: 7, count: 60_000).span)
            stream.end()
        }
        // Of the connection's window, there is enough for one frame of one stream at a time.
        for _ in 0..<10 {
            peer.session.flush(for: peer)
            peer.session.resetStalled()
            #expect(!peer.frames().contains { $0.type == 3 })
            peer.receive(peer.frame(8, 0, 0, [0, 0, 0x40, 0]))
        }
        for _ in 0..<2 { peer.session.resetStalled() }
        peer.session.flush(for: peer)
        #expect(peer.session.streamCount == 0)
    }

    @Test func `lets go of streams that are open when it is dropped, though what is kept of them holds them`() throws {
        final class Kept {
            let stream: ServerStream
            init(_ stream: ServerStream) { self.stream = stream }
        }
        weak var stream: ServerStream?
        do {
            let peer = Peer()
            peer.answers = false
            peer.greet()
            peer.receive(peer.headers(1, isEnd: false))
            let opened = try #require(peer.streams[1])
            opened.context = Kept(opened)
            stream = opened
        }
        #expect(stream == nil)
    }
}

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

@Suite struct `A flood of` {
    private static let limits = {
        var limits = SessionLimits()
        limits.idleFrames = 100
        return limits
    }()

    private func expectCalm(_ peer: Peer, _ name: String) {
        #expect(peer.goAway() == 0xB, "\(name)")
        #expect(peer.session.isOver, "\(name)")
        #expect(peer.session.ending?.contains(name) == true, "\(peer.session.ending ?? "nothing")")
    }

    @Test func `PING frames ends the connection`() {
        let peer = Peer(Self.limits)
        peer.greet()
        for _ in 0...100 { peer.receive(peer.frame(6, 0, 0, Array(repeating: 0, count: 8))) }
        expectCalm(peer, "PING")
    }

    @Test func `SETTINGS frames ends the connection`() {
        let peer = Peer(Self.limits)
        peer.greet()
        for _ in 0...100 { peer.receive(peer.frame(4, 0, 0, [])) }
        expectCalm(peer, "SETTINGS")
    }

    @Test func `requests that are reset at once ends the connection`() {
        let peer = Peer(Self.limits)
        peer.answers = false
        peer.greet()
        for index in 0...100 { peer.receive(peer.headers(2 * index + 1) + peer.frame(3, 0, 2 * index + 1, [0, 0, 0, 8])) }
        expectCalm(peer, "RST_STREAM")
    }

    @Test func `requests that are reset ends the connection though others are answered between them`() {
        let peer = Peer(Self.limits)
        peer.greet()
        var id = 1
        func request(isReset: Bool) {
            peer.receive(peer.headers(id, isEnd: !isReset) + (isReset ? peer.frame(3, 0, id, [0, 0, 0, 8]) : []))
            id += 2
        }
        for _ in 0..<300 { for isReset in [true, false] { request(isReset: isReset) } }
        #expect(!peer.session.isOver)
        _ = peer.frames()
        for _ in 0...100 { for isReset in [true, true, false] { request(isReset: isReset) } }
        expectCalm(peer, "RST_STREAM")
    }

    @Test func `requests that have to be reset ends the connection`() {
        let peer = Peer(Self.limits)
        peer.greet()
        for index in 0...100 { peer.receive(peer.headers(2 * index + 1, [(":method", "GET")])) }
        expectCalm(peer, "RST_STREAM")
    }

    @Test func `empty DATA frames ends the connection`() {
        let peer = Peer(Self.limits)
        peer.greet()
        peer.receive(peer.headers(1, isEnd: false))
        for _ in 0...100 { peer.receive(peer.frame(0, 0, 1, [])) }
        expectCalm(peer, "empty DATA")
    }

    @Test func `WINDOW_UPDATE frames ends the connection`() {
        let peer = Peer(Self.limits)
        peer.greet()
        for _ in 0...100 { peer.receive(peer.frame(8, 0, 0, [0, 0, 0, 1])) }
        expectCalm(peer, "WINDOW_UPDATE")
    }

    @Test func `PRIORITY frames ends the connection`() {
        let peer = Peer(Self.limits)
        peer.greet()
        for _ in 0...100 { peer.receive(peer.frame(2, 0, 3, [0, 0, 0, 0, 1])) }
        expectCalm(peer, "PRIORITY")
    }

    @Test func `CONTINUATION frames ends the connection`() {
        let peer = Peer(Self.limits)
        peer.greet()
        peer.receive(peer.frame(1, 0, 1, peer.block([(":method", "GET")])))
        for _ in 0...8 { peer.receive(peer.frame(9, 0, 1, [])) }
        expectCalm(peer, "CONTINUATION")
    }

    @Test func `WINDOW_UPDATE frames is none where each is of a stream of its own that waits for its answer`() {
        let peer = Peer(Self.limits)
        peer.answers = false
        peer.greet()
        for index in 0..<250 { peer.receive(peer.headers(2 * index + 1) + peer.frame(8, 0, 2 * index + 1, [0, 0, 0, 1])) }
        #expect(!peer.session.isOver)
        #expect(peer.ended.count == 250)
        for _ in 0...100 { peer.receive(peer.frame(8, 0, 1, [0, 0, 0, 1])) }
        expectCalm(peer, "WINDOW_UPDATE")
    }

    @Test(arguments: [(16_384, 300), (1, 80)])
    func `WINDOW_UPDATE frames is none where they acknowledge content, but is where they let it out byte by byte`(_ window: Int, _ most: Int) throws {
        let peer = Peer(Self.limits)
        let size = [UInt8(window >> 8), UInt8(window & 0xFF)]
        peer.receive(Peer.preface + peer.frame(4, 0, 0, [0, 4, 0, 0] + size))
        peer.answers = false
        peer.receive(peer.headers(1))
        _ = peer.frames()
        let stream = try #require(peer.streams[1])
        stream.answer(FieldList([(":status", "200")]))
        stream.send([UInt8](repeating: 7, count: 16_384 * 400).span)
        peer.session.flush(for: peer)
        var count = 0
        while !peer.session.isOver, count < 300 {
            #expect(peer.frames().contains { $0.type == 0 && $0.payload.count == window })
            peer.receive(peer.frame(8, 0, 1, [0, 0] + size) + peer.frame(8, 0, 0, [0, 0] + size))
            count += 1
        }
        #expect(peer.session.isOver == (window == 1))
        #expect(count <= most)
    }

    @Test func `frames is none where a request is answered for every few of them, or time passes`() {
        let peer = Peer(Self.limits)
        peer.greet()
        for index in 0..<300 {
            peer.receive(peer.headers(2 * index + 1))
            for _ in 0..<4 { peer.receive(peer.frame(8, 0, 0, [0, 0, 0, 1])) }
        }
        for _ in 0..<300 {
            peer.nowMilliseconds += 1_000
            for _ in 0..<50 { peer.receive(peer.frame(6, 0, 0, Array(repeating: 0, count: 8))) }
        }
        #expect(!peer.session.isOver)
        #expect(peer.ended.count == 300)
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
