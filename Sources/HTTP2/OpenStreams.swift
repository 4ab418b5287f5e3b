/// The open streams of one side of a connection. Identifiers only grow (RFC 9113 §5.1.1), so they stand in their order.
struct OpenStreams<Stream> {
    private var identifiers: [Int32] = []
    private(set) var all: [Stream] = []

    var count: Int { all.count }

    subscript(identifier: Int32) -> Stream? { index(of: identifier).map { all[$0] } }

    mutating func append(_ stream: Stream, _ identifier: Int32) {
        identifiers.append(identifier)
        all.append(stream)
    }

    /// - Returns: nil where it isn't open.
    mutating func remove(_ identifier: Int32) -> Stream? {
        guard let index = index(of: identifier) else { return nil }
        identifiers.remove(at: index)
        return all.remove(at: index)
    }

    private func index(of identifier: Int32) -> Int? {
        var (low, high) = (0, identifiers.count)
        while low < high {
            let middle = (low + high) / 2
            if identifiers[middle] < identifier { low = middle + 1 } else { high = middle }
        }
        return low < identifiers.count && identifiers[low] == identifier ? low : nil
    }
}
