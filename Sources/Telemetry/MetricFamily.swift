/// A family of counters: the handle that a worker counts with. A series' index is that of its row in the ``LabelSet``.
///
/// Plain numbers, as the other handles: an array here would have its references counted by all workers at once.
public struct CounterFamily: Sendable {
    let cells: Range<Int>
}

/// A family of numbers that workers raise and lower.
public struct GaugeFamily: Sendable {
    let cells: Range<Int>
}

/// A family of latency histograms.
public struct LatencyFamily: Sendable {
    let cells: Range<Int>
}

/// A family as it is shown.
struct MetricFamily: Sendable {
    enum Kind: Sendable {
        case counter, gauge, histogram

        /// How many cells a series takes in each worker's block.
        var width: Int { self == .histogram ? LatencyBuckets.cellCount : 1 }
    }

    /// Where the numbers come from.
    enum Source: Sendable {
        /// The workers' blocks.
        case workers
        case reading(@Sendable (Int) -> Double?)
    }

    let name: String
    let help: String
    let kind: Kind
    /// The labels of each series as they are shown, without the braces.
    let series: [String]
    let source: Source
}
