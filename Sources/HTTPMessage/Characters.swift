import Bytes

/// Which bytes may stand where, a bit each: a bit test has no branch.
enum Characters {
    /// `tchar` (RFC 9110 §5.6.2).
    @inline(__always)
    static func isToken(_ byte: UInt8) -> Bool { has(byte, below64: 0x03FF_6CFA_0000_0000, from64: 0x57FF_FFFF_C7FF_FFFE) }

    /// `unreserved` (RFC 3986 §2.3).
    @inline(__always)
    static func isUnreserved(_ byte: UInt8) -> Bool { has(byte, below64: 0x03FF_6000_0000_0000, from64: 0x47FF_FFFE_87FF_FFFE) }

    /// `unreserved` and `sub-delims`: what a registered name is made of, its escapes apart (RFC 3986 §3.2.2).
    @inline(__always)
    static func isNameCharacter(_ byte: UInt8) -> Bool { has(byte, below64: 0x2BFF_7FD2_0000_0000, from64: 0x47FF_FFFE_87FF_FFFE) }

    @inline(__always)
    private static func has(_ byte: UInt8, below64: UInt64, from64: UInt64) -> Bool {
        byte < 128 && (byte < 64 ? below64 : from64) >> UInt64(byte & 63) & 1 == 1
    }

    static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
}

extension Span where Element == UInt8 {
    /// These bytes without blanks at either end (OWS, RFC 9110 §5.6.3).
    @_lifetime(copy self)
    func trimmingBlanks() -> Span<UInt8> {
        extracting(withoutBlanks(0..<count))
    }
}
