/// Some of an upstream's endpoints, by their places.
struct EndpointSet {
    private var bits: UInt64 = 0

    var isEmpty: Bool { bits == 0 }

    /// - Parameter index: less than ``Upstream/maximumEndpoints``.
    func contains(_ index: Int) -> Bool { bits & (1 << UInt64(truncatingIfNeeded: index)) != 0 }
    mutating func insert(_ index: Int) { bits |= 1 << UInt64(truncatingIfNeeded: index) }
}
