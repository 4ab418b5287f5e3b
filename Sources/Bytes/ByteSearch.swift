extension Span where Element == UInt8 {
    /// Where `byte` stands first, from `start` on; nil where it doesn't. Eight bytes are looked at together.
    public func firstIndex(of byte: UInt8, from start: Int = 0) -> Int? {
        let bytes = unsafe self.bytes
        let (ones, highBits): (UInt64, UInt64) = (0x0101_0101_0101_0101, 0x8080_8080_8080_8080)
        let pattern = UInt64(byte) &* ones
        var index = start
        while index &+ 8 <= count {
            let word = unsafe UInt64(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self)) ^ pattern
            // The lowest of the high bits that are left stands in the first byte that is zero.
            let zeros = (word &- ones) & ~word & highBits
            if zeros != 0 { return index &+ zeros.trailingZeroBitCount / 8 }
            index &+= 8
        }
        while index < count {
            if self[index] == byte { return index }
            index &+= 1
        }
        return nil
    }
}
