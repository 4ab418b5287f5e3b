import Bytes
import HTTP2
import HTTPMessage

/// Writes an HTTP/2 answer's sections as HTTP/1.1, which a ``Relay`` then judges and passes on like any.
enum AnswerText {
    /// - Parameters:
    ///   - isFinal: whether no further head follows.
    ///   - isEnd: whether nothing follows at all.
    /// - Returns: whether the content is to be written in the chunked coding.
    static func append(_ headers: FieldList, isFinal: Bool, isEnd: Bool, answersHead: Bool, to text: ByteBuffer) -> Bool {
        let bytes = headers.bytes.span
        guard let status = headers.first(":status") else { return false }
        let hasContent = !(answersHead || headers.has(":status", "204") || headers.has(":status", "304"))
        // What gRPC says at the end is in trailers, which only the chunked coding has room for.
        let isChunked = isFinal && !isEnd && hasContent && (headers.first("content-length") == nil || isGRPC(headers))
        text.append("HTTP/1.1 ")
        text.append(bytes.extracting(status))
        text.append(" \r\n")
        var hasLength = false
        for field in headers.fields {
            let (name, value) = (bytes.extracting(field.name), bytes.extracting(field.value))
            guard FieldText.isToken(name), FieldText.isValue(value) else { continue }
            if name.equals("content-length") {
                if isChunked { continue }
                hasLength = true
            }
            text.append(field: name, value)
        }
        if isChunked {
            text.append("transfer-encoding: chunked\r\n")
        } else if isFinal, isEnd, hasContent, !hasLength {
            text.append("content-length: 0\r\n")
        }
        text.append("\r\n")
        return isChunked
    }

    /// Writes a success as the switch to a WebSocket that HTTP/1.1 has in its place (RFC 8441 §5).
    ///
    /// - Parameter acceptance: the value of `Sec-WebSocket-Accept`.
    /// - Returns: false, and nothing is written, where it is no success.
    static func append(switching headers: FieldList, _ acceptance: [UInt8], to text: ByteBuffer) -> Bool {
        let bytes = headers.bytes.span
        guard let status = headers.first(":status"), bytes[status.lowerBound] == UInt8(ascii: "2") else { return false }
        text.append("HTTP/1.1 101 \r\n")
        text.append(WebSocketHandshake.fields)
        text.append(field: "sec-websocket-accept", acceptance.span)
        for field in headers.fields {
            let (name, value) = (bytes.extracting(field.name), bytes.extracting(field.value))
            guard FieldText.isToken(name), FieldText.isValue(value) else { continue }
            if name.equals("sec-websocket-accept") || name.equals("content-length") { continue }
            text.append(field: name, value)
        }
        text.append("\r\n")
        return true
    }

    private static func isGRPC(_ headers: FieldList) -> Bool {
        guard let type = headers.first("content-type") else { return false }
        return GRPCStatus.isGRPC(headers.bytes.span.extracting(type))
    }
}
