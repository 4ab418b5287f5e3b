extension UInt8 {
    /// This letter of ASCII in lower case; any other byte as it is.
    @inlinable public var lowercasedASCII: UInt8 {
        self >= UInt8(ascii: "A") && self <= UInt8(ascii: "Z") ? self | 0x20 : self
    }
}

extension Span where Element == UInt8 {
    /// Whether these bytes are those of `text`, ASCII letters in any case. Always inlined: a comparison with a literal of 4 to 24 bytes is then
    /// one to three with numbers.
    @inlinable @inline(__always) public func equalsIgnoringCase(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        let (bytes, other) = unsafe (self.bytes, UnsafeRawPointer(text.utf8Start))
        switch count {
        case 8...24:
            let last = count &- 8
            let middle = Swift.min(last, 8)
            return unsafe bytes.unsafeLoadUnaligned(as: UInt64.self).isEqualIgnoringCase(other.loadUnaligned(as: UInt64.self))
                && bytes.unsafeLoadUnaligned(fromByteOffset: middle, as: UInt64.self)
                    .isEqualIgnoringCase(other.loadUnaligned(fromByteOffset: middle, as: UInt64.self))
                && bytes.unsafeLoadUnaligned(fromByteOffset: last, as: UInt64.self)
                    .isEqualIgnoringCase(other.loadUnaligned(fromByteOffset: last, as: UInt64.self))
        case 4..<8:
            let last = count &- 4
            return unsafe bytes.unsafeLoadUnaligned(as: UInt32.self).isEqualIgnoringCase(other.loadUnaligned(as: UInt32.self))
                && bytes.unsafeLoadUnaligned(fromByteOffset: last, as: UInt32.self)
                    .isEqualIgnoringCase(other.loadUnaligned(fromByteOffset: last, as: UInt32.self))
        default: return equalsIgnoringCase(unsafe Span(_unsafeStart: text.utf8Start, count: count))
        }
    }

    /// Whether these bytes are those of `other`, ASCII letters in any case.
    public func equalsIgnoringCase(_ other: Span<UInt8>) -> Bool {
        let (caseBit, a, letters) = (SIMD16<UInt8>(repeating: 0x20), SIMD16<UInt8>(repeating: 0x61), SIMD16<UInt8>(repeating: 26))
        return matches(other) { one, other in
            let areLetters = (one | caseBit) &- a .< letters
            return (one .== other) .| (areLetters .& (one ^ other .== caseBit))
        }
    }
}

extension FixedWidthInteger where Self: UnsignedInteger {
    /// Whether each byte is the same as that of `other`, or the same letter of ASCII in another case.
    @inlinable @inline(__always) func isEqualIgnoringCase(_ other: Self) -> Bool {
        let (ones, highBits): (Self, Self) = (.max / 0xFF, .max / 0xFF &* 0x80)
        // A byte's high bit says: from a on, behind z (Hacker's Delight, 6-1). No sum carries into the next byte. Of a literal all of it is
        // known to the compiler.
        let low = (other | ones &* 0x20) & ~highBits
        let fromA = low &+ ones &* (0x80 - 0x61)
        let behindZ = low &+ ones &* (0x7F - 0x7A)
        let caseBits = (fromA & ~behindZ & ~other & highBits) &>> 2
        return self | caseBits == other | caseBits
    }
}

extension String {
    /// With the letters A to Z in lower case, and all else as it is: `lowercased()` makes ASCII letters of some that are none, U+212A for one.
    public var lowercasedASCII: String { String(decoding: utf8.map(\.lowercasedASCII), as: UTF8.self) }
}
