/// How a message's body ends (RFC 9112 §6.3).
public enum BodyFraming: Sendable, Equatable {
    case none
    /// So many bytes; may be 0, where the message says so.
    case length(Int)
    case chunked
    /// Where the connection does. Responses only.
    case untilClose
}

/// The fields that frame a message, gathered while its field lines are looked through.
struct FramingFields {
    private var length: Int?
    private var isChunked = false
    private var hasTransferEncoding = false

    mutating func note(_ field: FieldLine, in bytes: Span<UInt8>) throws(MessageRefusal) {
        let value = field.value.bytes(in: bytes)
        if field.kind == .contentLength {
            // Twice the same would be legal to accept (RFC 9110 §8.6), and is what two parsers disagree about.
            guard length == nil else { throw MessageRefusal("There is more than one Content-Length.") }
            length = try BodyFraming.contentLength(value)
        } else {
            guard !hasTransferEncoding else { throw MessageRefusal("There is more than one Transfer-Encoding.") }
            hasTransferEncoding = true
            guard value.equalsIgnoringCase("chunked") else {
                throw MessageRefusal("The Transfer-Encoding is not chunked; no other is accepted.")
            }
            isChunked = true
        }
    }

    /// - Parameter unframed: what holds where neither field is there.
    func framing(minorVersion: Int, unframed: BodyFraming) throws(MessageRefusal) -> BodyFraming {
        if isChunked {
            guard length == nil else { throw MessageRefusal("There are both Content-Length and Transfer-Encoding.") }
            guard minorVersion > 0 else { throw MessageRefusal("There is a Transfer-Encoding in an HTTP/1.0 message.") }
            return .chunked
        }
        return length.map(BodyFraming.length) ?? unframed
    }
}

extension BodyFraming {
    /// The value of a Content-Length: one number of bytes in decimal digits (RFC 9110 §8.6).
    public static func contentLength(_ digits: Span<UInt8>) throws(MessageRefusal) -> Int {
        // 18 digits fit 63 bits, and are an exabyte.
        guard digits.count > 0, digits.count <= 18 else { throw MessageRefusal("The Content-Length is no number of bytes.") }
        var length = 0
        for index in digits.indices {
            guard Characters.isDigit(digits[index]) else { throw MessageRefusal("The Content-Length is no number of bytes.") }
            length = length &* 10 &+ Int(digits[index] &- UInt8(ascii: "0"))
        }
        return length
    }
}
