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
    /// Whether these bytes are those of `text`, ASCII letters in any case.
    @inlinable public func equalsIgnoringCase(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        // Most names differ in their first letter from others of their length.
        guard unsafe count == 0 || (self[0] ^ text.utf8Start[0]) & ~0x20 == 0 else { return false }
        return equalsIgnoringCase(unsafe Span(_unsafeStart: text.utf8Start, count: count))
    }

    /// Whether these bytes are those of `other`, ASCII letters in any case. Eight are compared together.
    public func equalsIgnoringCase(_ other: Span<UInt8>) -> Bool {
        guard count == other.count else { return false }
        guard count >= 8 else {
            for index in indices where self[index].lowercasedASCII != other[index].lowercasedASCII { return false }
            return true
        }
        let (left, right) = unsafe (bytes, other.bytes)
        let (caseBit, a, letters) = (SIMD8<UInt8>(repeating: 0x20), SIMD8<UInt8>(repeating: 0x61), SIMD8<UInt8>(repeating: 26))
        var index = 0
        while true {
            let one = unsafe left.unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: SIMD8<UInt8>.self)
            let other = unsafe right.unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: SIMD8<UInt8>.self)
            let areLetters = (one | caseBit) &- a .< letters
            let areEqual = (one .== other) .| (areLetters .& (one ^ other .== caseBit))
            guard unsafe unsafeBitCast(areEqual, to: UInt64.self) == .max else { return false }
            guard index < count &- 8 else { return true }
            // The last eight may have been compared in part.
            index = Swift.min(index &+ 8, count &- 8)
        }
    }

    /// These bytes without blanks at either end (OWS, RFC 9110 §5.6.3).
    @_lifetime(copy self)
    func trimmingBlanks() -> Span<UInt8> {
        extracting(withoutBlanks(0..<count))
    }
}
