import Bytes

/// A header's name as a backend may read it that takes `_` and `.` for `-`.
enum FoldedName {
    /// Whether the name has a byte that is read as another.
    static func isFoldable(_ name: Span<UInt8>) -> Bool {
        for index in name.indices where name[index] == UInt8(ascii: "_") || name[index] == UInt8(ascii: ".") { return true }
        return false
    }

    /// - Parameter plain: in lower case.
    static func equals(_ name: Span<UInt8>, _ plain: Span<UInt8>) -> Bool {
        guard name.count == plain.count else { return false }
        for index in name.indices where folded(name[index]) != folded(plain[index]) { return false }
        return true
    }

    private static func folded(_ byte: UInt8) -> UInt8 {
        switch byte {
        case UInt8(ascii: "_"), UInt8(ascii: "."): UInt8(ascii: "-")
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte | 0x20
        default: byte
        }
    }
}
