import Bytes
import HTTP2
import Testing

@Suite struct `A session that sleeps` {
    /// Fields that the peer's table keeps (RFC 7541 §6.2.1), or indexes of those that it keeps already.
    private func requests(_ peer: Peer) -> [[UInt8]] {
        let kept = [("cookie", "session=1"), ("x-one", "1"), ("x-long", String(repeating: "long", count: 75))]
        let literals = kept.flatMap { name, value in [0x40] + peer.block([(name, value)]).dropFirst() }
        let method: [UInt8] = [0x82, 0x86, 0x84, 0x41, 1, 0x61]
        return [
            // Room for all of the answers.
            peer.frame(8, 0, 0, [0, 16, 0, 0]),
            peer.frame(1, 5, 1, method + literals),
            // The three from the table, the youngest first, and ":authority: a" behind them.
            peer.frame(1, 5, 3, [0x82, 0x86, 0x84, 0x80 | 65, 0x80 | 62, 0x80 | 63, 0x80 | 64]),
            peer.frame(1, 4, 5, [0x83, 0x86, 0x84, 0x80 | 65, 0x80 | 64]) + peer.frame(0, 1, 5, Array("content".utf8)),
            // A table of another size, and all gone with it.
            peer.frame(1, 5, 7, [0x20, 0x3F, 0xE1, 0x1F] + method),
            peer.frame(6, 0, 0, [1, 2, 3, 4, 5, 6, 7, 8]),
        ]
    }

    /// Answers with fields of which the client's table is to keep some.
    private func answer(_ stream: ServerStream, with content: Int) {
        stream.answer(FieldList([(":status", "200"), ("server", "gatehouse"), ("x-id", "\(stream.id)"), ("x-same", "always")]))
        if content > 0 { stream.send(Array(repeating: UInt8(ascii: "c"), count: content).span) }
        stream.end()
    }

    /// - Parameter piece: how many bytes come at once, with a sleep after each where there can be one.
    /// - Returns: everything that was sent.
    private func serve(sleeping: Bool, piece: Int, content: Int) -> (sent: [UInt8], peer: Peer, sleeps: Int) {
        let peer = Peer()
        peer.answers = false
        peer.greet()
        var sent: [UInt8] = []
        var sleeps = 0
        for request in requests(peer) {
            for start in stride(from: 0, to: request.count, by: piece) {
                peer.receive(Array(request[start..<min(start + piece, request.count)]))
                for stream in peer.streams.values where stream.isRequestOver && peer.closings[stream.id] == nil { answer(stream, with: content) }
                peer.session.flush(for: peer)
                let output = peer.session.output
                sent += (0..<output.count).map { output[$0] }
                output.clear()
                guard sleeping else { continue }
                peer.session.sleep()
                if peer.session.isAsleep { sleeps += 1 }
            }
        }
        return (sent, peer, sleeps)
    }

    @Test(arguments: [1, 7, 1000], [0, 5, 40_000]) func `goes on as one that does not`(piece: Int, content: Int) {
        let awake = serve(sleeping: false, piece: piece, content: content)
        let other = serve(sleeping: true, piece: piece, content: content)
        #expect(other.sleeps >= 5, "else nothing is shown here")
        #expect(other.sent == awake.sent)
        #expect(other.peer.requests.map(\.id) == awake.peer.requests.map(\.id) && awake.peer.requests.count == 4)
        #expect(other.peer.requests.map(\.fields) == awake.peer.requests.map(\.fields))
        #expect(other.peer.requests[1].fields["cookie"] == "session=1", "from the table")
        #expect(other.peer.contents == awake.peer.contents)
        #expect(other.peer.session.ending == nil && !other.peer.session.isOver)
    }

    @Test func `stays awake while a stream is open or something is to be sent`() throws {
        let peer = Peer()
        peer.answers = false
        peer.receive(Peer.preface + peer.frame(4, 0, 0, []))
        peer.session.sleep()
        #expect(!peer.session.isAsleep, "the answer to its SETTINGS is in the output")
        peer.session.output.clear()
        peer.session.sleep()
        #expect(peer.session.isAsleep)
        peer.receive(peer.headers(1))
        #expect(!peer.session.isAsleep)
        peer.session.sleep()
        #expect(!peer.session.isAsleep, "a stream is open")
        try #require(peer.streams[1]).answer(FieldList([(":status", "204")]), isEnd: true)
        peer.session.sleep()
        #expect(!peer.session.isAsleep, "its answer is not sent")
        peer.session.flush(for: peer)
        peer.session.output.clear()
        peer.session.sleep()
        #expect(peer.session.isAsleep)
    }

    @Test func `wakes for its end`() {
        for end: (Peer) -> Void in [{ $0.session.drain(for: $0) }, { $0.session.end(.noError, because: "idle") }] {
            let peer = Peer()
            peer.greet()
            peer.session.sleep()
            #expect(peer.session.isAsleep)
            end(peer)
            #expect(peer.frames().map(\.type).first == 7, "GOAWAY")
        }
    }

    @Test func `is let go of asleep`() {
        weak var session: ServerSession?
        do {
            let peer = Peer()
            peer.greet()
            peer.session.sleep()
            session = peer.session
            #expect(peer.session.isAsleep)
        }
        #expect(session == nil)
    }
}
