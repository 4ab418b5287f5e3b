extension UInt8 {
    /// This letter of ASCII in lower case; any other byte as it is.
    @inlinable public var lowercasedASCII: UInt8 {
        self >= UInt8(ascii: "A") && self <= UInt8(ascii: "Z") ? self | 0x20 : self
    }
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
}

extension String {
    /// With the letters A to Z in lower case, and all else as it is: `lowercased()` makes ASCII letters of some that are none, U+212A for one.
    public var lowercasedASCII: String { String(decoding: utf8.map(\.lowercasedASCII), as: UTF8.self) }
}
