import Bytes
import HTTPMessage

/// Header names that a field may not have in any spelling a backend could take for one of them.
struct NameSet {
    private let names: [[UInt8]]
    /// What ``Span/foldedNameBit`` of them is: nearly every field is told apart by that.
    private let nameBits: UInt64

    /// - Parameter names: in lower case.
    init(_ names: [String]) {
        self.names = names.map { Array($0.utf8) }
        nameBits = self.names.reduce(0) { $0 | $1.span.foldedNameBit }
    }

    func contains(_ name: Span<UInt8>) -> Bool {
        guard nameBits & name.foldedNameBit != 0 else { return false }
        for owned in names where name.mayBeTaken(for: owned.span) { return true }
        return false
    }
}
