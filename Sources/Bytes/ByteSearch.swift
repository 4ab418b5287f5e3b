extension Span where Element == UInt8 {
    /// Where `byte` stands first, from `start` on; nil where it doesn't.
    public func firstIndex(of byte: UInt8, from start: Int = 0) -> Int? {
        let wanted = SIMD16(repeating: byte)
        return firstIndex(from: start) { $0 .== wanted }
    }

    /// Where the first byte stands, from `start` on, that is wanted; nil where none is. Sixteen bytes are looked at together.
    ///
    /// - Parameter areWanted: says of each of sixteen bytes whether it is wanted. Vectors are compared with vectors only: a comparison with
    ///   a scalar is compiled into a loop.
    @inlinable @inline(__always)
    public func firstIndex(from start: Int = 0, where areWanted: (SIMD16<UInt8>) -> SIMDMask<SIMD16<Int8>>) -> Int? {
        precondition(start >= 0, "a search begins within the bytes")
        var index = start
        while count &- index >= 16 {
            if let place = areWanted(block(at: index)).firstIndex { return index &+ place }
            index &+= 16
        }
        guard index < count else { return nil }
        guard count &- start < 16 else {
            // The last sixteen, of which those that were looked at before are none that is wanted.
            return areWanted(block(at: count &- 16)).firstIndex.map { count &- 16 &+ $0 }
        }
        // All there are: the zeros behind them are no find.
        guard let place = areWanted(shortBlock(from: index)).firstIndex, index &+ place < count else { return nil }
        return index &+ place
    }

    /// Whether any byte of `range` is wanted. Traps where that isn't within the bytes.
    ///
    /// Faster than a search in the range's bytes alone: those behind it are looked at with its last ones, and then left out.
    ///
    /// - Parameter areWanted: as in ``firstIndex(from:where:)``.
    @inlinable @inline(__always)
    public func contains(in range: Range<Int>, where areWanted: (SIMD16<UInt8>) -> SIMDMask<SIMD16<Int8>>) -> Bool {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "a search within the bytes")
        var index = range.lowerBound
        while range.upperBound &- index >= 16 {
            if areWanted(block(at: index)).bits != 0 { return true }
            index &+= 16
        }
        guard index < range.upperBound else { return false }
        let block = count &- index >= 16 ? block(at: index) : shortBlock(from: index)
        return areWanted(block).bits.trailingZeroBitCount < 8 &* (range.upperBound &- index)
    }

    /// Whether each byte is like the one in its place of `other`. Sixteen pairs are looked at together.
    ///
    /// - Parameter areAlike: says of each of sixteen pairs whether they are alike, as two zeros have to be.
    @inlinable @inline(__always)
    public func matches(_ other: Span<UInt8>, where areAlike: (SIMD16<UInt8>, SIMD16<UInt8>) -> SIMDMask<SIMD16<Int8>>) -> Bool {
        guard count == other.count else { return false }
        guard count >= 16 else { return areAlike(shortBlock(), other.shortBlock()).bits == .max }
        var index = 0
        while true {
            guard areAlike(block(at: index), other.block(at: index)).bits == .max else { return false }
            guard index < count &- 16 else { return true }
            // The last sixteen may have been looked at in part.
            index = Swift.min(index &+ 16, count &- 16)
        }
    }

    /// The bytes from `start` on, fewer than sixteen, with zeros behind them.
    @inlinable @inline(__always)
    public func shortBlock(from start: Int = 0) -> SIMD16<UInt8> {
        let length = count &- start
        precondition(start >= 0 && length >= 0 && length < 16, "fewer than sixteen bytes")
        let bytes = unsafe self.bytes
        var value: UInt128 = 0
        if length >= 8 {
            // The two overlap, and are the same where they do.
            let first = unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: start, as: UInt64.self)
            let last = unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: count &- 8, as: UInt64.self)
            value = UInt128(UInt64(littleEndian: first)) | UInt128(UInt64(littleEndian: last)) &<< UInt128(8 &* (length &- 8))
        } else if length >= 4 {
            let first = unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: start, as: UInt32.self)
            let last = unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: count &- 4, as: UInt32.self)
            value = UInt128(UInt64(UInt32(littleEndian: first)) | UInt64(UInt32(littleEndian: last)) &<< UInt64(8 &* (length &- 4)))
        } else if length > 0 {
            // Of one byte or two, some are the same.
            let (middle, last) = (length / 2, length &- 1)
            let first = UInt32(self[start]) | UInt32(self[start &+ middle]) &<< UInt32(8 &* middle)
            value = UInt128(first | UInt32(self[start &+ last]) &<< UInt32(8 &* last))
        }
        return unsafe unsafeBitCast(value.littleEndian, to: SIMD16<UInt8>.self)
    }

    /// Sixteen bytes from `start` on. Traps where there are fewer.
    @inlinable @inline(__always)
    public func block(at start: Int) -> SIMD16<UInt8> {
        precondition(start >= 0 && count &- start >= 16, "a block within the bytes")
        return unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: start, as: SIMD16<UInt8>.self)
    }
}

extension SIMDMask<SIMD16<Int8>> {
    /// Eight bits for each place, the first place's the lowest: all set, or none.
    @inlinable @inline(__always)
    public var bits: UInt128 { unsafe UInt128(littleEndian: unsafeBitCast(self, to: UInt128.self)) }

    @inlinable @inline(__always)
    var firstIndex: Int? {
        let bits = self.bits
        return bits == 0 ? nil : bits.trailingZeroBitCount / 8
    }
}
