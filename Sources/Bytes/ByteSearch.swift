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
    public func firstIndex(from start: Int, where areWanted: (SIMD16<UInt8>) -> SIMDMask<SIMD16<Int8>>) -> Int? {
        precondition(start >= 0, "a search begins within the bytes")
        let bytes = unsafe self.bytes
        var index = start
        while count &- index >= 16 {
            let block = unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: SIMD16<UInt8>.self)
            if let place = areWanted(block).firstIndex { return index &+ place }
            index &+= 16
        }
        guard index < count else { return nil }
        var rest = SIMD16<UInt8>()
        for place in 0..<count &- index { rest[place] = self[index &+ place] }
        guard let place = areWanted(rest).firstIndex, index &+ place < count else { return nil }
        return index &+ place
    }
}

extension SIMDMask<SIMD16<Int8>> {
    @inlinable @inline(__always)
    var firstIndex: Int? {
        let bits = unsafe UInt128(littleEndian: unsafeBitCast(self, to: UInt128.self))
        return bits == 0 ? nil : bits.trailingZeroBitCount / 8
    }
}
