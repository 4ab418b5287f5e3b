import HTTP2
import Testing

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
