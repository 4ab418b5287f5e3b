import Bytes
import HTTP2
import HTTPMessage

/// Takes an HTTP/1.1 response as it is written for a client, piece by piece, and sends it on an HTTP/2 stream.
struct ResponseText {
    private var hasBegun = false
    private var content = ContentText()
    private let limits: HeadLimits
    private let method: Method
    private let isWebSocket: Bool

    /// - Parameters:
    ///   - method: of the request it answers.
    ///   - isWebSocket: whether the request asks for one by CONNECT (RFC 8441): 101 is then told as 200.
    ///   - limits: of trailers.
    init(answering method: Method = .other, isWebSocket: Bool = false, limits: HeadLimits = HeadLimits()) {
        self.method = method
        self.isWebSocket = isWebSocket
        self.limits = limits
    }

    /// Whether the response has been sent to its end.
    var isOver: Bool { hasBegun && content.isOver }

    /// Sends what there is in `buffer`, and consumes it.
    ///
    /// - Parameters:
    ///   - head: what heads are read into, of which nothing is kept.
    ///   - isNoted: whether the final head stands at the front of `buffer`, and is in `head` already.
    /// - Throws: where the text is no response.
    mutating func send(_ buffer: ByteBuffer, on stream: ServerStream, _ head: inout WrittenHead, isNoted: Bool) throws(MessageRefusal) {
        if isNoted, !hasBegun, !isWebSocket {
            WrittenHead.nameStatus(in: buffer)
            begin(head, in: buffer, on: stream)
        }
        while !hasBegun {
            guard !buffer.isEmpty else { return }
            try readHead(buffer, on: stream, &head)
        }
        try content.send(buffer, on: stream)
    }

    /// Ends what follows a WebSocket's handshake.
    mutating func end(on stream: ServerStream) {
        guard isWebSocket, hasBegun, !content.isOver else { return }
        content = ContentText()
        stream.end()
    }

    /// A head is whole, as the exchange writes it at once.
    private mutating func readHead(_ buffer: ByteBuffer, on stream: ServerStream, _ head: inout WrittenHead) throws(MessageRefusal) {
        try head.read(buffer, answering: method, isWebSocket: isWebSocket)
        if isWebSocket, !head.hasSwitched, head.status >= 200, head.status < 300 { throw MessageRefusal("There is no WebSocket.") }
        guard head.isInterim else { return begin(head, in: buffer, on: stream) }
        stream.answerInterim(head.fields.span, in: buffer.bytes)
        buffer.consume(head.byteCount)
    }

    private mutating func begin(_ head: WrittenHead, in buffer: ByteBuffer, on stream: ServerStream) {
        hasBegun = true
        content = head.hasSwitched ? ContentText(.untilClose, limits: limits) : ContentText(head.framing, limits: limits)
        stream.answer(head.fields.span, in: buffer.bytes, isEnd: content.isOver)
        buffer.consume(head.byteCount)
    }
}
