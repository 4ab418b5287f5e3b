/// The buckets of every latency histogram: each twice as wide as the one before, from 10 µs to 10.5 s, and what took longer.
enum LatencyBuckets {
    static let firstBoundMicroseconds = 10
    /// Those with an upper bound.
    static let boundCount = 21
    /// The buckets, the last of them without a bound, and behind them the sum in nanoseconds.
    static let cellCount = boundCount + 2
    static let sumOffset = boundCount + 1

    /// The bucket of what took so long: the first whose bound is not less.
    static func index(nanoseconds: Int64) -> Int {
        // How many times the first bound fits in what lies below; the number of its bits is how often that bound must be doubled.
        let multiple = (max(nanoseconds, 1) - 1) / Int64(firstBoundMicroseconds * 1000)
        return min(Int64.bitWidth - multiple.leadingZeroBitCount, boundCount)
    }

    /// The upper bound of the bucket at `index`, in nanoseconds.
    static func boundNanoseconds(_ index: Int) -> Int { firstBoundMicroseconds * 1000 << index }
}
