import Bytes
import EventLoop
import HTTP2
import HTTPMessage

/// A client's HTTP/2 stream, shown to an ``Exchange`` as a connection that brings the content of one HTTP/1.1 request, whose head it has, and
/// takes its response: so that policy, refusals, forwarding and the log are the same for both. Used again for the next stream.
///
/// Back-pressure goes through it both ways. The client's window opens again as the exchange takes the content, and
/// ``isWritable`` is false while the client leaves too much of the response unread.
final class DownstreamStream: ByteStream {
    /// How much of a response waits for the client's window, in bytes, before the exchange has to wait.
    private static let roomBytes = BufferPool.bufferBytes

    /// Behind accessors, as `response` is taken out while it is worked on: an access that lasts would have all the others looked after at run time,
    /// the short ones too (SE-0176).
    private var parked: Waiter?
    /// Why the request is none, where it isn't.
    private(set) var refusal: MessageRefusal?
    /// Whether it asks for a WebSocket by CONNECT (RFC 8441). What is no HTTP/1.1 message then follows the head both ways.
    private(set) var isWebSocket = false
    /// Whether its method is HEAD.
    private(set) var isHead = false

    private let worker: WorkerState
    /// Nil before it begins, and once the exchange is done.
    private var connection: HTTP2Connection?
    /// Nil once it is closed, as well.
    private var stream: ServerStream?
    private let request: ArrivingMessage
    private var response = ResponseText()

    init(_ worker: WorkerState) {
        self.worker = worker
        request = ArrivingMessage(worker.loop.buffers)
    }

    /// - Parameter exchange: takes in the request's head.
    func begin(_ stream: ServerStream, _ headers: FieldSection, isEnd: Bool, on connection: HTTP2Connection, for exchange: Exchange) {
        var text = RequestText(headers)
        self.stream = stream
        self.connection = connection
        isWebSocket = text.isWebSocket
        isHead = text.isHead
        response = ResponseText(answering: text.isHead ? .head : .other, isWebSocket: isWebSocket, limits: exchange.worker.limits)
        var isChunked = false
        do throws(MessageRefusal) {
            isChunked = try exchange.take(&text, isEnd: isEnd)
            refusal = nil
        } catch {
            refusal = error
        }
        request.begin(isChunked: isChunked, isEndTaken: !isChunked && !isWebSocket)
    }

    /// Gives what it borrowed back: the exchange is done, and nobody takes content any more.
    func end() {
        let byteCount = request.contentByteCount
        if byteCount > 0 {
            connection?.dropContent(byteCount)
            request.drop()
        }
        stream?.context = nil
        stream = nil
        connection = nil
    }

    // MARK: What the connection brings

    func receive(content bytes: Span<UInt8>) {
        request.append(content: bytes)
        waiter?.wake()
    }

    func receiveEnd(of stream: ServerStream) {
        // A length or the lack of content has told of it already.
        guard !request.isEndTaken else { return }
        request.end(trailers: stream.trailers)
        waiter?.wake()
    }

    /// There is room for more of the response.
    func hasRoom() { waiter?.wake() }

    /// The stream is over, whether the exchange is or not.
    func streamClosed() {
        stream = nil
        waiter?.wake()
    }

    // MARK: What the exchange sees

    var waiter: Waiter? {
        get { parked }
        set { parked = newValue }
    }

    var isReadable: Bool { !request.isEmpty || isBroken }

    var isWritable: Bool {
        guard let stream else { return true }
        return stream.unsentByteCount < Self.roomBytes
    }

    /// What was taken is sent as the client's window opens, whether or not anybody asks.
    var hasUnsent: Bool { false }
    var isBroken: Bool { stream == nil && !response.isOver }
    var isOpen: Bool { stream != nil }

    func receive(into buffer: ByteBuffer, room: Int) -> ReceiveResult {
        let before = buffer.count
        switch request.take(into: buffer, room: room) {
        case .text: break
        case .content(let byteCount): giveBack(byteCount)
        case .end: return .ended
        case .nothing: return isBroken ? .failed(SystemError.connectionReset) : .wouldBlock
        }
        return .received(buffer.count - before)
    }

    /// Opens the client's window by what the exchange has taken.
    private func giveBack(_ byteCount: Int) {
        guard let stream else { connection?.dropContent(byteCount); return }
        stream.consume(byteCount)
        connection?.flushAtEndOfTurn()
    }

    func send(_ buffer: ByteBuffer) -> SendResult { send(buffer, headIsNoted: false) }

    /// - Parameter headIsNoted: whether the response's head stands at the front of `buffer`, and in ``WorkerState/writtenHead`` what it is made of.
    func send(_ buffer: ByteBuffer, headIsNoted: Bool) -> SendResult {
        guard let stream else { return .failed(SystemError.connectionReset) }
        guard isWritable else { return .wouldBlock }
        do throws(MessageRefusal) {
            try send(buffer, on: stream, headIsNoted)
        } catch {
            stream.reset(.internalError)
            return .failed(SystemError.connectionReset)
        }
        connection?.flushAtEndOfTurn()
        return .sent
    }

    private func send(_ buffer: ByteBuffer, on stream: ServerStream, _ headIsNoted: Bool) throws(MessageRefusal) {
        var (response, head) = (ResponseText(), WrittenHead())
        swap(&response, &self.response)
        swap(&head, &worker.writtenHead)
        defer {
            swap(&response, &self.response)
            swap(&head, &worker.writtenHead)
        }
        try response.send(buffer, on: stream, &head, isNoted: headIsNoted)
    }

    func text(of code: Int32) -> String { SystemError.text(of: code) }

    func endSending() {
        guard let stream else { return }
        var response = self.response
        response.end(on: stream)
        self.response = response
        connection?.flushAtEndOfTurn()
    }

    /// Ends the stream: as it should, where the whole response has been sent; else so that the client sees that it is not whole.
    func close() {
        // A reset overtakes what waits to be sent, which may be the beginning of the response.
        if stream != nil, !response.isOver { connection?.flush() }
        guard let stream else { return }
        if response.isOver { stream.abandonRequest() } else { stream.reset(.internalError) }
        connection?.flushAtEndOfTurn()
    }

    func reset() { close() }
}
