extension UInt8 {
    /// This byte of a header's name as a backend may read it that takes `_` and `.` for `-`.
    @inlinable public var foldedInHeaderName: UInt8 {
        self == UInt8(ascii: "_") || self == UInt8(ascii: ".") ? UInt8(ascii: "-") : self
    }
}

extension Span where Element == UInt8 {
    /// A bit that a header's name has in common with every name that it may be taken for: letters in any case, and `_` and `.` for `-`.
    /// Few other names have it.
    @inlinable public var foldedNameBit: UInt64 {
        guard count > 0 else { return 1 }
        // Eight bytes at the end, where names of a family differ, or three.
        let last = count >= 8 ? unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: count &- 8, as: UInt64.self)
            : UInt64(self[0]) | UInt64(self[count / 2]) &<< 8 | UInt64(self[count &- 1]) &<< 16
        // Of each the two bits that are the same in both cases of a letter, and in all three of those.
        let mixed = ((last & 0x0C0C_0C0C_0C0C_0C0C) &+ UInt64(truncatingIfNeeded: count)) &* 0x9E37_79B9_7F4A_7C15
        return 1 &<< (mixed &>> 58)
    }
}
