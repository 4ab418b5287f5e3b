import Bytes
import HTTP2
import HTTPMessage

/// Reads an HTTP/1.1 response as it is written for a client, piece by piece, and sends it on an HTTP/2 stream.
struct ResponseText {
    private var hasBegun = false
    private var content = ContentText()
    private var scanner = HeadScanner()
    private var response = ResponseHead()
    private let limits: HeadLimits
    private let method: Method
    private let isWebSocket: Bool

    /// - Parameters:
    ///   - method: of the request it answers.
    ///   - isWebSocket: whether the request asks for one by CONNECT (RFC 8441): 101 is then told as 200.
    ///   - limits: what any head may take that the proxy writes.
    init(answering method: Method, isWebSocket: Bool, limits: HeadLimits) {
        self.method = method
        self.isWebSocket = isWebSocket
        self.limits = limits
    }

    /// Whether the response has been sent to its end.
    var isOver: Bool { hasBegun && content.isOver }

    /// Sends what there is in `buffer`, and consumes it.
    ///
    /// - Throws: where the text is no response.
    mutating func send(_ buffer: ByteBuffer, on stream: ServerStream) throws(MessageRefusal) {
        while !hasBegun {
            guard let byteCount = try scanner.findEnd(in: buffer.bytes, limits: limits) else { return }
            try response.parse(buffer.bytes, byteCount: byteCount, answering: method)
            scanner = HeadScanner()
            if isWebSocket, response.status >= 200, response.status < 300 { throw MessageRefusal("There is no WebSocket.") }
            sendHead(buffer.bytes, on: stream)
            buffer.consume(byteCount)
        }
        try content.send(buffer, on: stream)
    }

    /// Ends what follows a WebSocket's handshake.
    mutating func end(on stream: ServerStream) {
        guard isWebSocket, hasBegun, !content.isOver else { return }
        content = ContentText()
        stream.end()
    }

    private mutating func sendHead(_ bytes: Span<UInt8>, on stream: ServerStream) {
        let headers = headers(bytes)
        if isWebSocket, response.status == 101 {
            hasBegun = true
            content = ContentText(.untilClose, limits: limits)
            return stream.answer(headers)
        }
        guard !response.isInterim else { return stream.answerInterim(headers) }
        hasBegun = true
        content = ContentText(response.framing, limits: limits)
        stream.answer(headers, isEnd: content.isOver)
    }

    /// The head's fields, but for those that concern a connection (RFC 9113 §8.2.2).
    private func headers(_ bytes: Span<UInt8>) -> FieldList {
        var headers = FieldList(roomForFields: response.fields.count + 1)
        let status = isWebSocket && response.status == 101 ? 200 : response.status
        let digits: InlineArray<3, UInt8> = [
            UInt8(ascii: "0") + UInt8(status / 100), UInt8(ascii: "0") + UInt8(status / 10 % 10), UInt8(ascii: "0") + UInt8(status % 10),
        ]
        headers.append(":status", digits.span)
        for field in response.fields {
            let name = field.name.bytes(in: bytes)
            if isWebSocket, name.equalsIgnoringCase("sec-websocket-accept") { continue }
            switch field.kind {
            case .connection, .hopByHop, .transferEncoding: continue
            default: headers.append(lowercasing: name, field.value.bytes(in: bytes))
            }
        }
        return headers
    }
}
