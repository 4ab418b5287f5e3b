import Bytes
import EventLoop
import HTTP2
import HTTPMessage

/// A client's HTTP/2 stream, shown to an ``Exchange`` as a connection that brings one HTTP/1.1 request and takes its response: so
/// that policy, refusals, forwarding and the log are the same for both.
///
/// Back-pressure goes through it both ways. The client's window opens again as the exchange takes the content, and
/// ``isWritable`` is false while the client leaves too much of the response unread.
final class DownstreamStream: ByteStream {
    /// How much of a response waits for the client's window, in bytes, before the exchange has to wait.
    private static let roomBytes = BufferPool.bufferBytes

    var waiter: Waiter?
    /// Why the request is none, where it isn't.
    private(set) var refusal: MessageRefusal?
    /// Whether it asks for a WebSocket by CONNECT (RFC 8441). What is no HTTP/1.1 message then follows the head both ways.
    let isWebSocket: Bool

    private let connection: HTTP2Connection
    /// Nil once it is closed.
    private var stream: ServerStream?
    private let loop: EventLoop
    /// The head, until the exchange has taken it.
    private let text = ByteBuffer(capacity: 16)
    /// Of the request, not yet taken by the exchange.
    private let content = ByteBuffer(capacity: 16)
    private var isChunked = false
    private var isContentOver = false
    private var isEndTaken = false
    /// Whether the exchange is: nobody takes content any more.
    private var isDone = false
    private var trailers = FieldList()
    private var response: ResponseText

    init(_ stream: ServerStream, isEnd: Bool, of connection: HTTP2Connection, in worker: WorkerContext) {
        self.stream = stream
        self.connection = connection
        loop = worker.loop
        loop.buffers.furnish(text)
        var limits = worker.limits
        // The proxy and the verdict add to what an upstream may send.
        limits.headerBytes *= 4
        limits.headerCount *= 4
        isWebSocket = stream.headers.first(":protocol") != nil
        let method: Method = stream.headers.has(":method", "HEAD") ? .head : .other
        response = ResponseText(answering: method, isWebSocket: isWebSocket, limits: limits)
        do throws(MessageRefusal) {
            isChunked = try RequestText.append(stream.headers, isEnd: isEnd, random: worker.state.random, to: text)
        } catch {
            refusal = error
            text.clear()
        }
        isEndTaken = !isChunked && !isWebSocket
    }

    // MARK: What the connection brings

    func receive(content bytes: Span<UInt8>) {
        guard !isDone else { return connection.dropContent(bytes.count) }
        loop.buffers.furnish(content)
        content.append(bytes)
        waiter?.wake()
    }

    func receiveEnd(trailers: FieldList) {
        isContentOver = true
        self.trailers = trailers
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

    var isReadable: Bool {
        !text.isEmpty || !content.isEmpty || isContentOver && !isEndTaken || isBroken
    }

    var isWritable: Bool {
        guard let stream else { return true }
        return stream.unsentByteCount < Self.roomBytes
    }

    /// What was taken is sent as the client's window opens, whether or not anybody asks.
    var hasUnsent: Bool { false }
    var isBroken: Bool { stream == nil && !response.isOver }
    var isOpen: Bool { stream != nil }

    func receive(into buffer: ByteBuffer, room: Int) -> ReceiveResult {
        let (text, before) = (self.text, buffer.count)
        if !text.isEmpty {
            buffer.append(text.bytes)
            text.clear()
            loop.buffers.strip(text)
        } else if !content.isEmpty {
            take(min(content.count, max(room, buffer.capacity - buffer.count - 32)), into: buffer)
        } else if isContentOver, !isEndTaken {
            isEndTaken = true
            guard !isWebSocket else { return .ended }
            buffer.append("0\r\n")
            appendTrailers(to: buffer)
            buffer.append("\r\n")
        } else {
            return isBroken ? .failed(SystemError.connectionReset) : .wouldBlock
        }
        return .received(buffer.count - before)
    }

    private func take(_ byteCount: Int, into buffer: ByteBuffer) {
        let content = self.content
        let bytes = content.bytes.extracting(0..<byteCount)
        if isChunked { buffer.append(chunk: bytes) } else { buffer.append(bytes) }
        content.consume(byteCount)
        loop.buffers.strip(content)
        guard let stream else { return connection.dropContent(byteCount) }
        stream.consume(byteCount)
        connection.flushAtEndOfTurn()
    }

    private func appendTrailers(to buffer: ByteBuffer) {
        let trailers = self.trailers
        let bytes = trailers.bytes.span
        for field in trailers.fields {
            let (name, value) = (bytes.extracting(field.name), bytes.extracting(field.value))
            guard FieldText.isToken(name), FieldText.isValue(value) else { continue }
            buffer.append(field: name, value)
        }
    }

    func send(_ buffer: ByteBuffer) -> SendResult {
        guard let stream else { return .failed(SystemError.connectionReset) }
        guard isWritable else { return .wouldBlock }
        do throws(MessageRefusal) {
            try response.send(buffer, on: stream)
        } catch {
            stream.reset(.internalError)
            return .failed(SystemError.connectionReset)
        }
        connection.flushAtEndOfTurn()
        return .sent
    }

    func text(of code: Int32) -> String { SystemError.text(of: code) }

    func endSending() {
        guard let stream else { return }
        response.end(on: stream)
        connection.flushAtEndOfTurn()
    }

    /// Ends the stream: as it should, where the whole response has been sent; else so that the client sees that it is not whole.
    func close() {
        // A reset overtakes what waits to be sent, which may be the beginning of the response.
        if stream != nil, !response.isOver { connection.flush() }
        guard let stream else { return }
        if response.isOver { stream.abandonRequest() } else { stream.reset(.internalError) }
        connection.flushAtEndOfTurn()
    }

    func reset() { close() }

    /// Gives what it borrowed back: the exchange is done.
    func end() {
        isDone = true
        if !content.isEmpty { connection.dropContent(content.count) }
        text.clear()
        content.clear()
        loop.buffers.strip(text)
        loop.buffers.strip(content)
    }
}
