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
        let stream = try peer.openStream()
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

    @Test func `sends names in lower case, whatever they are written in`() throws {
        let answers = try [("x-request-id", "etag"), ("X-Request-Id", "ETag")].map { names in
            let peer = Peer()
            let stream = try peer.openStream()
            var headers = FieldList([(":status", "200")])
            headers.append(Array(names.0.utf8).span, [1].span)
            headers.append(Array(names.1.utf8).span, [2].span)
            stream.answer(headers, isEnd: true)
            peer.session.flush(for: peer)
            return peer.frames()
        }
        #expect(answers[0].count == 1 && answers[0] == answers[1])
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
        peer.session.drain(for: peer)
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

    @Test func `sends heads of a megabyte, and resets the stream of a larger one`() throws {
        for (count, types) in [(900, [1, 9]), (1100, [3])] as [(Int, Set<UInt8>)] {
            let peer = Peer()
            let stream = try peer.openStream()
            var headers = FieldList([(":status", "200")])
            for number in 0..<count { headers.append("x-long", Array(String(repeating: "\(1000 + number)", count: 250).utf8).span) }
            stream.answer(headers, isEnd: true)
            peer.session.flush(for: peer)
            #expect(Set(peer.frames().map(\.type)) == types)
            #expect(peer.closings[1] == (count == 900 ? .noError : .internalError))
        }
    }

    @Test func `tells of room that a drain makes`() throws {
        let peer = Peer()
        let stream = try peer.openStream()
        stream.answer(FieldList([(":status", "200")]))
        stream.send(Array("some".utf8).span)
        peer.session.drain(for: peer)
        #expect(peer.rooms == [1], "else whoever waits for it waits on")
    }

    @Test func `sends interim answers ahead of the answer, and none behind it`() throws {
        let peer = Peer()
        let stream = try peer.openStream()
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
