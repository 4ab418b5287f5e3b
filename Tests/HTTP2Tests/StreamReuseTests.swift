import Bytes
import HTTP2
import Testing

@Suite struct `Streams of a session` {
    /// A request with content and trailers, whose answer has both as well.
    private func serve(_ id: Int, _ peer: Peer) throws -> ServerStream {
        let trailers = peer.frame(1, 5, id, peer.block([("x-sum", "5")]))
        peer.receive(peer.headers(id, isEnd: false) + peer.frame(0, 0, id, Array("hello".utf8)) + trailers)
        let stream = try #require(peer.streams[Int32(id)])
        #expect(stream.isRequestOver && stream.trailers.has("x-sum", "5"))
        stream.answer(FieldList([(":status", "200")]))
        stream.send(Array("answer".utf8).span)
        stream.end(trailers: FieldList([("grpc-status", "0")]))
        peer.session.flush(for: peer)
        #expect(peer.closings[Int32(id)] == .noError)
        return stream
    }

    private func makePeer() -> Peer {
        let peer = Peer()
        peer.answers = false
        peer.greet()
        return peer
    }

    @Test func `serve one request after another, and keep nothing of the last`() throws {
        let peer = makePeer()
        let first = ObjectIdentifier(try serve(1, peer))
        peer.receive(peer.headers(3, [(":method", "GET"), (":scheme", "http"), (":path", "/other"), (":authority", "b")], isEnd: false))
        let second = try #require(peer.streams[3])
        #expect(ObjectIdentifier(second) == first, "else nothing is shown here")
        #expect(second.id == 3 && !second.isRequestOver && second.context == nil && second.unsentByteCount == 0)
        let fields = try #require(peer.requests.last).fields
        #expect(fields.count == 4 && fields[":path"] == "/other" && second.trailers.isEmpty)
        second.answer(FieldList([(":status", "204")]), isEnd: true)
        peer.session.flush(for: peer)
        #expect(peer.frames().last == Peer.Frame(type: 1, flags: 5, stream: 3, payload: [0x89]))
    }

    @Test func `are another's request only once nobody has them any more`() throws {
        let peer = makePeer()
        let first = try serve(1, peer)
        peer.receive(peer.headers(3))
        let second = try #require(peer.streams[3])
        #expect(first !== second && first.id == 1)
        peer.session.output.clear()
        first.answer(FieldList([(":status", "500")]), isEnd: true)
        first.send(Array("late".utf8).span)
        first.end()
        first.reset(.cancel)
        peer.session.flush(for: peer)
        #expect(!peer.frames().contains { $0.stream == 3 }, "what is still done to a closed stream concerns no other")
    }

    @Test func `are found whichever are closed first`() throws {
        let peer = makePeer()
        let ids = Array(stride(from: 1, through: 41, by: 2))
        for id in ids { peer.receive(peer.headers(id, isEnd: false)) }
        for id in [21, 1, 41, 19, 3] { peer.receive(peer.frame(3, 0, id, [0, 0, 0, 8])) }
        #expect(peer.session.streamCount == ids.count - 5)
        for id in ids { peer.receive(peer.frame(0, 1, id, [UInt8(id)])) }
        for id in ids {
            let isReset = [21, 1, 41, 19, 3].contains(id)
            #expect(peer.contents[Int32(id)] == (isReset ? nil : [UInt8(id)]))
            #expect(peer.ended.contains(Int32(id)) == !isReset)
        }
    }
}
