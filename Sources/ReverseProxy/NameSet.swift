import Bytes
import HTTPMessage
import PolicyClient

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

    @inline(__always)
    func contains(_ name: Span<UInt8>) -> Bool { nameBits & name.foldedNameBit != 0 && has(name) }

    private func has(_ name: Span<UInt8>) -> Bool {
        for owned in names where name.mayBeTaken(for: owned.span) { return true }
        return false
    }
}

extension PolicySession {
    /// Whether a backend could take a field of this name for one that no client may bring.
    func owns(_ name: Span<UInt8>) -> Bool {
        guard mayOwn(name.foldedNameBit) else { return false }
        for owned in ownedHeaders where name.mayBeTaken(for: owned.span) { return true }
        return false
    }
}
