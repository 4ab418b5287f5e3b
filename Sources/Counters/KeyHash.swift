/// A hash of a counter's key that differs from process to process, so that nobody can choose user ids that collide.
struct KeyHash: Hashable {
    private static let seed = UInt64.random(in: .min ... .max)
    private static let multiplier: UInt64 = 0x9e37_79b9_7f4a_7c15

    let value: UInt64

    /// Eight bytes at a time: a key is hashed with every hit.
    init(_ key: Span<UInt8>) {
        let bytes = unsafe key.bytes
        var hash = Self.folded(Self.seed ^ UInt64(bytes.byteCount), Self.multiplier)
        var offset = 0
        while bytes.byteCount &- offset >= 8 {
            let word = unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self)
            hash = Self.folded(hash ^ word, Self.multiplier)
            offset &+= 8
        }
        var rest: UInt64 = 0
        while offset < bytes.byteCount {
            rest = rest << 8 | UInt64(unsafe bytes.unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self))
            offset &+= 1
        }
        value = Self.folded(hash ^ rest, Self.multiplier)
    }

    init(value: UInt64) { self.value = value }

    private static func folded(_ first: UInt64, _ second: UInt64) -> UInt64 {
        let product = first.multipliedFullWidth(by: second)
        return product.high ^ product.low
    }

    /// A dictionary takes this hash as it is, rather than hashing it once more.
    func _rawHashValue(seed: Int) -> Int { Int(truncatingIfNeeded: value) }
}
