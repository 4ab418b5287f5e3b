import Bytes

/// The open streams of one side of a connection. Identifiers only grow (RFC 9113 §5.1.1), so they stand in their order.
///
/// A class whose arrays are taken out while they are changed: an access that lasts would have every one checked at run time (SE-0176).
final class OpenStreams<Stream> {
    private var identifiers: [Int32] = []
    private(set) var all: [Stream] = []

    var count: Int { all.count }

    subscript(identifier: Int32) -> Stream? { index(of: identifier).map { all[$0] } }

    func append(_ stream: Stream, _ identifier: Int32) {
        var (identifiers, all) = takeOut()
        identifiers.append(identifier)
        all.append(stream)
        (self.identifiers, self.all) = (identifiers, all)
    }

    /// - Returns: nil where it isn't open.
    func remove(_ identifier: Int32) -> Stream? {
        guard let index = index(of: identifier) else { return nil }
        var (identifiers, all) = takeOut()
        defer { (self.identifiers, self.all) = (identifiers, all) }
        identifiers.remove(at: index)
        return all.remove(at: index)
    }

    private func takeOut() -> ([Int32], [Stream]) { (exchange(&identifiers, with: []), exchange(&all, with: [])) }

    private func index(of identifier: Int32) -> Int? {
        let identifiers = self.identifiers
        guard let first = identifiers.first, identifier >= first else { return nil }
        // Identifiers are two apart where none in between is closed, and never closer: it stands there or before.
        let most = Int(identifier - first) / 2
        if most < identifiers.count, identifiers[most] == identifier { return most }
        var (low, high) = (0, min(most, identifiers.count))
        while low < high {
            let middle = (low + high) / 2
            if identifiers[middle] < identifier { low = middle + 1 } else { high = middle }
        }
        return low < identifiers.count && identifiers[low] == identifier ? low : nil
    }
}
