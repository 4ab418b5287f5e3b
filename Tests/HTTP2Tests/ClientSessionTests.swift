import Bytes
import Testing

@testable import HTTP2

/// Both sides of a connection, made of bytes alone.
private final class Pair: StreamHandler, AnswerHandler {
    let server: ServerSession
    let client: ClientSession
    private(set) var requests: [Int32: ServerStream] = [:]
    private(set) var received: [Int32: [UInt8]] = [:]
    private(set) var heads: [String] = []
    private(set) var answers: [Int32: [UInt8]] = [:]
    private(set) var ended: [Int32] = []
    private(set) var closings: [Int32: ErrorCode] = [:]

    init(_ limits: SessionLimits = SessionLimits(), client clientLimits: SessionLimits = SessionLimits()) {
        server = ServerSession(limits, output: ByteBuffer(capacity: 1024), blocks: SpareBlocks())
        client = ClientSession(clientLimits, output: ByteBuffer(capacity: 1024))
        exchange()
    }

    /// Carries bytes both ways until neither side has any.
    func exchange() {
        repeat {
            client.flush(for: self)
            server.receive(client.output, for: self, nowMilliseconds: 0)
            server.flush(for: self)
            client.receive(server.output, for: self)
        } while !client.output.isEmpty || !server.output.isEmpty
    }

    func request(isEnd: Bool = true) throws -> ClientStream {
        let headers = FieldList([(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/")])
        return try #require(client.request(headers, isEnd: isEnd))
    }

    func received(_ headers: FieldSection, of stream: ServerStream, isEnd: Bool) { requests[stream.id] = stream }
    func received(_ content: Span<UInt8>, on stream: ServerStream) {
        received[stream.id, default: []] += content.array
        stream.consume(content.count)
    }
    func received(endOf stream: ServerStream) {}
    func hasRoom(on stream: ServerStream) {}
    func closed(_ stream: ServerStream, _ code: ErrorCode) {}

    func received(headersOf stream: ClientStream, isEnd: Bool) {
        guard let status = stream.headers.first(":status") else { return }
        heads.append(stream.headers.bytes.span.extracting(status).text + (stream.isAnswered ? "" : " interim") + (isEnd ? " end" : ""))
    }
    func received(_ content: Span<UInt8>, on stream: ClientStream) { answers[stream.id, default: []] += content.array }
    func received(endOf stream: ClientStream) { ended.append(stream.id) }
    func hasRoom(on stream: ClientStream) {}
    func closed(_ stream: ClientStream, _ code: ErrorCode) { closings[stream.id] = code }
}

private let ok = FieldList([(":status", "200")])

@Suite struct `A client session` {
    @Test func `takes requests once the server has greeted`() throws {
        let session = ClientSession(output: ByteBuffer(capacity: 64))
        #expect(!session.takesRequests)
        #expect(Pair().client.takesRequests)
    }

    @Test func `sends content and trailers, and takes interim and final answers with theirs`() throws {
        let pair = Pair()
        let stream = try pair.request(isEnd: false)
        stream.send([1, 2, 3].span)
        pair.exchange()
        #expect(pair.received == [1: [1, 2, 3]])
        let request = try #require(pair.requests[1])
        let interim = FieldList([(":status", "103")])
        request.answerInterim(interim.fields.span, in: interim.bytes.span)
        request.answer(ok)
        request.send([4, 5].span)
        pair.exchange()
        #expect(pair.heads == ["103 interim", "200"])
        #expect(pair.answers == [1: [4, 5]])
        stream.end(trailers: FieldList([("x-sum", "6")]))
        pair.exchange()
        #expect(request.isRequestOver && request.trailers.has("x-sum", "6"))
        request.end(trailers: FieldList([("grpc-status", "0")]))
        pair.exchange()
        #expect(pair.ended == [1] && stream.trailers.has("grpc-status", "0"))
        #expect(pair.closings == [1: .noError])
    }

    @Test func `sends no more than the server's window, and takes no more than its own`() throws {
        var limits = SessionLimits()
        limits.streamWindowBytes = 1000
        let pair = Pair(limits, client: limits)
        let stream = try pair.request(isEnd: false)
        pair.exchange()
        let request = try #require(pair.requests[1])
        request.answer(ok)
        request.send([UInt8](repeating: 7, count: 3000).span)
        pair.exchange()
        #expect(pair.answers[1]?.count == 1000)
        stream.consume(1000)
        pair.exchange()
        #expect(pair.answers[1]?.count == 2000)
        stream.send([UInt8](repeating: 7, count: 3000).span)
        pair.exchange()
        #expect(pair.received[1]?.count == 3000 && stream.unsentByteCount == 0)
    }

    @Test func `has no more streams than the server takes`() throws {
        var limits = SessionLimits()
        limits.concurrentStreams = 2
        let pair = Pair(limits)
        _ = (try pair.request(), try pair.request())
        pair.exchange()
        #expect(!pair.client.takesRequests)
        try #require(pair.requests[1]).answer(ok, isEnd: true)
        pair.exchange()
        #expect(pair.client.takesRequests)
    }

    @Test func `takes no requests once the server drains, and finishes those it has`() throws {
        let pair = Pair()
        _ = try pair.request()
        pair.exchange()
        pair.server.drain(for: pair)
        pair.exchange()
        #expect(!pair.client.takesRequests && !pair.client.isOver)
        try #require(pair.requests[1]).answer(ok, isEnd: true)
        pair.exchange()
        #expect(pair.closings == [1: .noError])
        #expect(pair.client.isOver && pair.server.isOver)
    }

    @Test func `resets a stream whose head is larger than it may be`() throws {
        var limits = SessionLimits()
        limits.headerListBytes = 200
        let pair = Pair(client: limits)
        _ = try pair.request()
        pair.exchange()
        var headers = ok
        headers.append("x", [UInt8](repeating: UInt8(ascii: "y"), count: 200).span)
        try #require(pair.requests[1]).answer(headers, isEnd: true)
        pair.exchange()
        #expect(pair.heads == [] && pair.closings[1] != .noError)
        #expect(pair.client.takesRequests)
    }

    @Test func `is over with bytes that are no HTTP 2`() {
        let session = ClientSession(output: ByteBuffer(capacity: 64))
        let input = ByteBuffer(capacity: 64)
        input.append("HTTP/1.1 400 Bad Request\r\n\r\n")
        session.receive(input, for: Pair())
        session.output.clear()
        session.flush(for: Pair())
        #expect(session.isOver)
    }
}
