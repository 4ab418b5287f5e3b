/// How many requests may be sent again, as a part of those that come: an upstream that fails must not have all of them twice.
/// A value; time is an argument.
struct RetryBudget {
    private static let windowMilliseconds: Int64 = 10_000

    private let percent: Int
    /// In each window, whatever comes.
    private let minimum: Int
    /// Requests, and what was sent again.
    private var counts = TrailingCounts(windowMilliseconds: Self.windowMilliseconds)

    /// - Parameter workerCount: how many share the minimum. Each keeps a budget of its own: the part is the same for all, so that
    ///   together they send no more again than one that counted for all would allow.
    init(_ retries: Retries, workerCount: Int) {
        percent = retries.budgetPercent
        minimum = (retries.budgetMinimum + workerCount - 1) / max(workerCount, 1)
    }

    mutating func noteRequest(now: Int64) { counts.add(first: 1, now: now) }

    /// Whether one may be sent again now; it counts as that.
    mutating func take(now: Int64) -> Bool {
        let (requests, retries) = counts.counts(now: now)
        guard retries < max(minimum, requests * percent / 100) else { return false }
        counts.add(second: 1, now: now)
        return true
    }
}

/// When a request is sent again: where its method is idempotent, it has no content and nothing of a response was passed on (RFC
/// 9110 §9.2.2). What took no connection goes to another endpoint in any case.
public struct Retries: Sendable, Equatable {
    /// Times that one request may be sent again; 0: never.
    public var maximum = 0
    /// Answers that count as none, besides a connection that breaks off. An endpoint that is late is not asked again.
    public var statuses: [UInt16] = []
    /// Of the requests of the last 10 seconds.
    public var budgetPercent = 20
    /// In 10 seconds, however few requests there are.
    public var budgetMinimum = 30

    public init() {}
}
