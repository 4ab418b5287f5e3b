import Bytes
import EventLoop
import HTTP2
import HTTPMessage

/// A stream towards an upstream, shown to an ``Exchange`` as a connection that takes one HTTP/1.1 request and brings its response.
///
/// The upstream's window is the back-pressure on the request; its own opens again as the exchange takes the response.
final class UpstreamStream: ByteStream {
    /// How much of a request waits for the upstream's window, in bytes, before the exchange has to wait.
    private static let roomBytes = BufferPool.bufferBytes
    /// What heads of the response may take together before the exchange takes them.
    private static let headBytes = 256 * 1024

    var waiter: Waiter?
    private let session: UpstreamSession
    private let limits: HeadLimits
    /// Nil before the request's head is whole, and once the stream is closed.
    private var stream: ClientStream?
    private var hasBegun = false
    private var isClosed = false
    private var scanner = HeadScanner()
    private var requestContent = ContentText()
    private var answersHead = false
    private let answer: ArrivingMessage
    /// Where a WebSocket is asked for: what proves that the upstream has agreed.
    private var acceptance: [UInt8]?

    init(on session: UpstreamSession, limits: HeadLimits) {
        self.session = session
        answer = ArrivingMessage(session.loop.buffers)
        self.limits = limits
    }

    // MARK: The request

    var isWritable: Bool {
        guard let stream else { return true }
        return stream.unsentByteCount < Self.roomBytes
    }

    var hasUnsent: Bool { false }
    var isBroken: Bool { isClosed && !answer.isOver }
    var isOpen: Bool { !isClosed }

    func send(_ buffer: ByteBuffer) -> SendResult {
        guard !isClosed else { return .failed(SystemError.connectionReset) }
        guard isWritable else { return .wouldBlock }
        do throws(MessageRefusal) {
            if !hasBegun {
                guard try begin(buffer) else { return .sent }
            }
            if let stream { try requestContent.send(buffer, on: stream) }
        } catch {
            close()
            return .failed(SystemError.connectionReset)
        }
        session.flushAtEndOfTurn()
        return .sent
    }

    private func begin(_ buffer: ByteBuffer) throws(MessageRefusal) -> Bool {
        guard let byteCount = try scanner.findEnd(in: buffer.bytes, limits: limits) else { return false }
        var head = RequestHead()
        try head.parse(buffer.bytes, byteCount: byteCount, limits: limits)
        answersHead = head.method == .head
        requestContent = ContentText(head.framing, limits: limits)
        if try WebSocketHandshake.isAsked(by: head, in: buffer.bytes) {
            acceptance = WebSocketHandshake.acceptance(of: head, in: buffer.bytes)
            requestContent = ContentText(.untilClose, limits: limits)
        }
        let headers = headers(of: head, buffer.bytes)
        buffer.consume(byteCount)
        hasBegun = true
        guard acceptance == nil || session.takesWebSockets else {
            refuseWebSocket()
            return true
        }
        stream = session.request(headers, isEnd: requestContent.isOver, for: self)
        isClosed = stream == nil
        return true
    }

    /// The head's fields, but for those that concern a connection; of `TE`, what HTTP/2 knows (RFC 9113 §8.2.2).
    private func headers(of head: RequestHead, _ bytes: Span<UInt8>) -> FieldList {
        var headers = FieldList(roomForFields: head.fields.count + 4)
        if acceptance == nil { headers.append(":method", head.methodName.bytes(in: bytes)) } else {
            headers.append(":method", "CONNECT".utf8Span.span)
            headers.append(":protocol", "websocket".utf8Span.span)
        }
        let scheme = session.scheme
        headers.append(":scheme", scheme.span)
        headers.append(":authority", head.host.bytes(in: bytes))
        headers.append(":path", head.target.bytes(in: bytes))
        for field in head.fields {
            let (name, value) = (field.name.bytes(in: bytes), field.value.bytes(in: bytes))
            switch field.kind {
            case .host, .connection, .transferEncoding: continue
            case .other where acceptance != nil && name.equalsIgnoringCase("sec-websocket-key"): continue
            case .hopByHop where !(name.equalsIgnoringCase("te") && value.equalsIgnoringCase("trailers")): continue
            default: headers.append(lowercasing: name, value)
            }
        }
        return headers
    }

    /// Answers in place of an upstream that takes no WebSocket, which it would take for something else.
    private func refuseWebSocket() {
        let body: StaticString = #"{"error":"Not Implemented","message":"The upstream takes no WebSockets by HTTP/2."}"#
        let text = answer.textToWrite()
        text.append("HTTP/1.1 501 \r\ncontent-type: application/json\r\ncontent-length: ")
        text.append(decimal: body.utf8CodeUnitCount)
        text.append("\r\n\r\n")
        text.append(body)
        answer.isEndTaken = true
        answer.end(trailers: FieldList())
        waiter?.wake()
    }

    // MARK: What the session brings

    func receive(headersOf stream: ClientStream, isEnd: Bool) {
        guard answer.textByteCount < Self.headBytes else { return stream.reset(.enhanceYourCalm) }
        let text = answer.textToWrite()
        if let acceptance, stream.isAnswered, AnswerText.append(switching: stream.headers, acceptance, to: text) {
            waiter?.wake()
            return
        }
        answer.isChunked = AnswerText.append(
            stream.headers, isFinal: stream.isAnswered, isEnd: isEnd, answersHead: answersHead, to: text)
        answer.isEndTaken = !answer.isChunked
        waiter?.wake()
    }

    func receive(content bytes: Span<UInt8>) {
        answer.append(content: bytes)
        waiter?.wake()
    }

    func receiveEnd(trailers: FieldList) {
        answer.end(trailers: trailers)
        waiter?.wake()
    }

    func hasRoom() { waiter?.wake() }

    func streamClosed() {
        isClosed = true
        stream = nil
        waiter?.wake()
    }

    // MARK: The response

    var isReadable: Bool { !answer.isEmpty || isBroken }

    func receive(into buffer: ByteBuffer, room: Int) -> ReceiveResult {
        let before = buffer.count
        switch answer.take(into: buffer, room: room) {
        case .text: break
        case .content(let byteCount): giveBack(byteCount)
        case .end: return .ended
        case .nothing: return isBroken ? .failed(SystemError.connectionReset) : .wouldBlock
        }
        return .received(buffer.count - before)
    }

    /// Opens the upstream's window by what the exchange has taken.
    private func giveBack(_ byteCount: Int) {
        guard let stream else { return session.consume(byteCount) }
        stream.consume(byteCount)
        session.flushAtEndOfTurn()
    }

    func text(of code: Int32) -> String { SystemError.text(of: code) }

    // MARK: Its end

    func endSending() {
        guard acceptance != nil, let stream else { return }
        stream.end()
        session.flushAtEndOfTurn()
    }

    /// Gives the stream up where it isn't over.
    func close() {
        if let stream {
            stream.reset(.cancel)
            if !stream.isAnswered { session.noteUnanswered(since: stream) }
            session.flushAtEndOfTurn()
        }
        stream = nil
        isClosed = true
        waiter = nil
        session.consume(answer.contentByteCount)
        answer.drop()
    }

    func reset() { close() }
}
