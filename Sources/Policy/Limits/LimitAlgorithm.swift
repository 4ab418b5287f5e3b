/// How a limit counts. Each is a pure function of what was counted and the time; they differ in what they remember of a key,
/// and so in how far they can let more through, in some stretch of time as long as the window, than the count says.
public enum LimitAlgorithm: String, CaseIterable, Sendable {
    /// Two counters: this window's hits, and the share of the last one's that is still in view. See ``SlidingWindow``.
    case slidingWindow = "sliding-window"
    /// One counter that begins anew with each window. See ``FixedWindow``.
    case fixedWindow = "fixed-window"
    /// Every admitted hit is remembered with its moment: exact. See ``SlidingLog``.
    case slidingLog = "sliding-log"
    /// A bucket that holds a burst and is refilled evenly (GCRA). See ``TokenBucket``.
    case tokenBucket = "token-bucket"
}
