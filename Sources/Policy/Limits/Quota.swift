/// How much may pass in how much time, and how that is counted.
public struct Quota: Sendable, Hashable {
    public static let acceptedCounts = 1...1_000_000_000
    /// A sliding log remembers every hit, so it has a limit of its own.
    public static let acceptedLogCounts = 1...10_000
    /// From a second to a month.
    public static let acceptedWindowSeconds = 1...2_678_400
    /// How long an empty bucket may take to be full.
    public static let longestRefillSeconds = 31_622_400

    public let algorithm: LimitAlgorithm
    /// What hits may cost together in a window; for a token bucket: how many tokens a window brings.
    public let count: Int
    public let window: Window
    /// What hits may cost at once: for a token bucket how many tokens it holds, else ``count``.
    public let burst: Int

    /// - Parameters:
    ///   - count: one of ``acceptedCounts``, or of ``acceptedLogCounts`` for a sliding log.
    ///   - windowSeconds: one of ``acceptedWindowSeconds``.
    ///   - burst: for a token bucket only: one of ``acceptedCounts``, and refilled within ``longestRefillSeconds``; `count`
    ///     where it is left out.
    public init(
        _ algorithm: LimitAlgorithm = .slidingWindow, count: Int, windowSeconds: Int, burst: Int? = nil
    ) throws(InvalidQuota) {
        let counts = algorithm == .slidingLog ? Self.acceptedLogCounts : Self.acceptedCounts
        guard counts.contains(count) else {
            throw InvalidQuota("a count of \(count); \(algorithm.rawValue) accepts \(counts.lowerBound) to \(counts.upperBound)")
        }
        let lengths = Self.acceptedWindowSeconds
        guard lengths.contains(windowSeconds) else {
            throw InvalidQuota(
                "a window of \(windowSeconds) seconds; accepted are \(lengths.lowerBound) to \(lengths.upperBound)")
        }
        if let burst {
            guard algorithm == .tokenBucket else {
                throw InvalidQuota("a burst with \(algorithm.rawValue); only \(LimitAlgorithm.tokenBucket.rawValue) has one")
            }
            guard Self.acceptedCounts.contains(burst) else {
                throw InvalidQuota(
                    "a burst of \(burst); accepted are \(Self.acceptedCounts.lowerBound) to \(Self.acceptedCounts.upperBound)")
            }
            guard burst * windowSeconds / count < Self.longestRefillSeconds else {
                throw InvalidQuota(
                    "a burst of \(burst) that takes \(burst * windowSeconds / count) seconds to be refilled; "
                        + "accepted are less than \(Self.longestRefillSeconds)")
            }
        }
        self.algorithm = algorithm
        self.count = count
        self.window = Window(lengthSeconds: windowSeconds)
        self.burst = burst ?? count
    }
}

/// Why there is no such quota: what was found, and what is accepted.
public struct InvalidQuota: Error, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}
