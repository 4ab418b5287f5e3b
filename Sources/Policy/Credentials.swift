/// What a request's `Authorization` fields hold.
public enum Credentials: Sendable, Equatable {
    /// No field, a field of another scheme, or the scheme without a token.
    case none
    /// A bearer token (RFC 6750 §2.1): where it lies in the field's value.
    case bearer(Range<Int>)
    /// More than one field, which two readers could understand differently.
    case repeated

    /// Reads the value of the one field: the scheme in any case, spaces, the token. What stands in the token is for its
    /// verifier to judge.
    public static func read(_ value: Span<UInt8>) -> Credentials {
        var start = 0
        var end = value.count
        while start < end, isBlank(value[start]) { start += 1 }
        while end > start, isBlank(value[end - 1]) { end -= 1 }
        guard hasBearerScheme(value, at: start, end: end) else { return .none }
        start += bearerByteCount
        let schemeEnd = start
        while start < end, value[start] == UInt8(ascii: " ") { start += 1 }
        return start > schemeEnd && start < end ? .bearer(start..<end) : .none
    }

    private static let bearerByteCount = 6

    private static func hasBearerScheme(_ value: Span<UInt8>, at start: Int, end: Int) -> Bool {
        guard end - start > bearerByteCount else { return false }
        // 0x20 is the bit between the cases of a letter, and no other byte becomes one of these letters by it.
        return value[start] | 0x20 == UInt8(ascii: "b") && value[start + 1] | 0x20 == UInt8(ascii: "e")
            && value[start + 2] | 0x20 == UInt8(ascii: "a") && value[start + 3] | 0x20 == UInt8(ascii: "r")
            && value[start + 4] | 0x20 == UInt8(ascii: "e") && value[start + 5] | 0x20 == UInt8(ascii: "r")
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
}
