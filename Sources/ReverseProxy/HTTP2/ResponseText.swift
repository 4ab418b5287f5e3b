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

    /// - Parameters:
    ///   - method: of the request it answers.
    ///   - limits: what any head may take that the proxy writes.
    init(answering method: Method, limits: HeadLimits) {
        self.method = method
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
            sendHead(buffer.bytes, on: stream)
            buffer.consume(byteCount)
        }
        try content.send(buffer, on: stream)
    }

    private mutating func sendHead(_ bytes: Span<UInt8>, on stream: ServerStream) {
        let headers = headers(bytes)
        guard !response.isInterim else { return stream.answerInterim(headers) }
        hasBegun = true
        content = ContentText(response.framing, limits: limits)
        stream.answer(headers, isEnd: content.isOver)
    }

    /// The head's fields, but for those that concern a connection (RFC 9113 §8.2.2).
    private func headers(_ bytes: Span<UInt8>) -> FieldList {
        var headers = FieldList()
        let status = response.status
        let digits: InlineArray<3, UInt8> = [
            UInt8(ascii: "0") + UInt8(status / 100), UInt8(ascii: "0") + UInt8(status / 10 % 10), UInt8(ascii: "0") + UInt8(status % 10),
        ]
        headers.append(":status", digits.span)
        for field in response.fields {
            switch field.kind {
            case .connection, .hopByHop, .transferEncoding: continue
            default: headers.append(lowercasing: field.name.bytes(in: bytes), field.value.bytes(in: bytes))
            }
        }
        return headers
    }
}
