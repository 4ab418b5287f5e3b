import Bytes
import JSON

/// What the gateway's own answers mean to a gRPC client (grpc.io, "gRPC over HTTP2" and "HTTP to gRPC Status Code Mapping").
enum GRPCStatus {
    /// Whether a content type is one of gRPC: `application/grpc`, with or without a format. Not `application/grpc-web`.
    static func isGRPC(_ contentType: Span<UInt8>) -> Bool {
        let name: StaticString = "application/grpc"
        let count = name.utf8CodeUnitCount
        guard contentType.count >= count, contentType.extracting(0..<count).equalsIgnoringCase(name) else { return false }
        return contentType.count == count || contentType[count] == UInt8(ascii: "+") || contentType[count] == UInt8(ascii: ";")
    }

    /// The status code for an HTTP status that the gateway answers with.
    static func code(_ status: UInt16) -> Int {
        switch status {
        case 400: 13   // INTERNAL
        case 401: 16   // UNAUTHENTICATED
        case 403: 7    // PERMISSION_DENIED
        case 404, 405: 12   // UNIMPLEMENTED
        // The mapping of the specification is for proxies that know no better, and has UNAVAILABLE: of a limit, that would be retried at once.
        case 413, 429: 8   // RESOURCE_EXHAUSTED
        case 502, 503, 504: 14   // UNAVAILABLE
        default: 2   // UNKNOWN
        }
    }

    /// Appends `text` as `grpc-message` has it: percent-encoded, but for visible ASCII and blanks.
    static func append(message text: Span<UInt8>, to buffer: ByteBuffer) {
        for index in 0..<min(text.count, 1024) {
            let byte = text[index]
            if byte >= 0x20, byte <= 0x7E, byte != UInt8(ascii: "%") {
                buffer.append(byte)
            } else {
                buffer.append("%")
                buffer.append(upperHexadecimalDigit: byte >> 4)
                buffer.append(upperHexadecimalDigit: byte & 0xF)
            }
        }
    }
}

extension ByteBuffer {
    fileprivate func append(upperHexadecimalDigit digit: UInt8) {
        append(digit < 10 ? UInt8(ascii: "0") &+ digit : UInt8(ascii: "A") &+ digit &- 10)
    }
}
