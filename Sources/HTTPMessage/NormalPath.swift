import Bytes

/// Tells a path that is in its normal form and can't be read in two ways: nearly every one. Sixteen bytes are looked at together.
enum NormalPath {
    /// How many bytes of a target its path takes, where it has nothing to decode, nothing that is refused, and no segment that is empty
    /// or begins with a dot; nil where ``PathNormalizer`` has to judge it.
    static func byteCount(of target: Span<UInt8>) -> Int? {
        var slashBefore: UInt128 = 0
        var index = 0
        while true {
            let block = target.count >= 16 ? target.block(at: index) : target.shortBlock()
            let special = (block .== question) .| (block .== percent) .| (block .== backslash) .| (block .== hash) .| (block .>= beyondASCII)
            let slashes = (block .== slash).bits
            let unfit = (slashes << 8 | slashBefore) & ((block .== slash) .| (block .== dot)).bits
            if special.bits != 0 {
                let end = special.bits.trailingZeroBitCount
                guard unfit & (1 << UInt128(end) - 1) == 0, target[index &+ end / 8] == UInt8(ascii: "?") else { return nil }
                return index &+ end / 8
            }
            guard unfit == 0 else { return nil }
            let left = target.count &- index &- 16
            guard left > 0 else { return target.count }
            // The last block overlaps the one before, which has judged what stands before it.
            slashBefore = left < 16 ? 0 : slashes >> 120
            index &+= min(left, 16)
        }
    }

    private static var question: SIMD16<UInt8> { SIMD16(repeating: UInt8(ascii: "?")) }
    private static var percent: SIMD16<UInt8> { SIMD16(repeating: UInt8(ascii: "%")) }
    private static var backslash: SIMD16<UInt8> { SIMD16(repeating: UInt8(ascii: "\\")) }
    private static var hash: SIMD16<UInt8> { SIMD16(repeating: UInt8(ascii: "#")) }
    private static var beyondASCII: SIMD16<UInt8> { SIMD16(repeating: 0x80) }
    private static var slash: SIMD16<UInt8> { SIMD16(repeating: UInt8(ascii: "/")) }
    private static var dot: SIMD16<UInt8> { SIMD16(repeating: UInt8(ascii: ".")) }
}
