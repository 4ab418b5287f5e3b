import HTTPMessage

/// Header names that a field may not have in any spelling a backend could take for one of them.
struct NameSet {
    private let names: [[UInt8]]
    /// A bit for each length that occurs: nearly every field is told apart by its length alone.
    private let lengths: UInt64

    /// - Parameter names: in lower case.
    init(_ names: [String]) {
        self.names = names.map { Array($0.utf8) }
        lengths = self.names.reduce(0) { $0 | Self.bit(of: $1.count) }
    }

    func contains(_ name: Span<UInt8>) -> Bool {
        guard lengths & Self.bit(of: name.count) != 0 else { return false }
        for owned in names where name.mayBeTaken(for: owned.span) { return true }
        return false
    }

    private static func bit(of length: Int) -> UInt64 { 1 << UInt64(min(length, 63)) }
}
