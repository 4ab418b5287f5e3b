/// When the keys at an address are fetched again.
public struct RefreshRules: Sendable, Hashable {
    /// An answer counts as good for at least this long, whatever it says of itself.
    public var minimumSeconds: Int
    /// An answer counts as good for at most this long.
    public var maximumSeconds: Int
    /// How long an answer counts as good that says nothing of it.
    public var defaultSeconds: Int
    /// Tokens with a `kid` that no key has make the keys be fetched again at most once in this time.
    public var unknownKeyIntervalSeconds: Int

    public init(
        minimumSeconds: Int = 60, maximumSeconds: Int = 86_400, defaultSeconds: Int = 300, unknownKeyIntervalSeconds: Int = 30
    ) {
        self.minimumSeconds = minimumSeconds
        self.maximumSeconds = maximumSeconds
        self.defaultSeconds = defaultSeconds
        self.unknownKeyIntervalSeconds = unknownKeyIntervalSeconds
    }

    /// The longest pause after a failure.
    private static let longestRetryMilliseconds: Int64 = 60_000

    /// How long to wait after a good answer: 75 to 85 % of its time, so that many daemons that started together don't ask
    /// together for ever, and that a failure leaves time for another attempt.
    ///
    /// - Parameter jitter: 0..<1.
    func pauseMilliseconds(after freshness: Freshness, jitter: Double) -> Int64 {
        let seconds =
            switch freshness {
            case .unstated: defaultSeconds
            case .none: 0
            case .seconds(let seconds): seconds
            }
        // One second whatever the bounds are: nobody is to be asked without a pause.
        let bounded = max(1, minimumSeconds, min(seconds, maximumSeconds))
        return Int64(Double(bounded) * 1000 * (0.75 + 0.1 * jitter))
    }

    /// How long to wait after the `failures`th failure in a row: 1, 2, 4 … 60 seconds, and up to a quarter less.
    ///
    /// - Parameter jitter: 0..<1.
    static func retryPauseMilliseconds(failures: Int, jitter: Double) -> Int64 {
        let pause = min(longestRetryMilliseconds, 1000 << Int64(min(max(failures - 1, 0), 6)))
        return pause - Int64(Double(pause) * 0.25 * jitter)
    }
}
