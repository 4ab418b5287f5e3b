/// What a limit says to one hit: what the client is told in `X-RateLimit-…`, `RateLimit` and `Retry-After`.
public struct LimitStatus: Sendable, Hashable {
    /// Whether the hit may pass. One that may not is to be given back, so that it doesn't count.
    public let isAdmitted: Bool
    /// What hits may cost together: the quota's count, or a bucket's burst.
    public let limit: Int
    /// What further hits may cost at this moment.
    public let remaining: Int
    /// When the quota begins anew: the end of the current window; for a log and a bucket, when all of it will be there again
    /// if no more hits arrive.
    public let resetUnixSeconds: Int64
    /// For a hit that was not admitted: the least number of whole seconds, at least 1, after which one of its cost could be,
    /// if no more arrive meanwhile and the refused ones are given back. For one that costs more than there ever is: the
    /// window. 0 for a hit that was admitted.
    public let retryAfterSeconds: Int
    /// The moment that ``retryAfterSeconds`` was rounded up from, in milliseconds since 1970. 0 for a hit that was admitted.
    public let retryAtUnixMilliseconds: Int64

    public init(
        isAdmitted: Bool, limit: Int, remaining: Int, resetUnixSeconds: Int64, retryAfterSeconds: Int,
        retryAtUnixMilliseconds: Int64
    ) {
        self.isAdmitted = isAdmitted
        self.limit = limit
        self.remaining = remaining
        self.resetUnixSeconds = resetUnixSeconds
        self.retryAfterSeconds = retryAfterSeconds
        self.retryAtUnixMilliseconds = retryAtUnixMilliseconds
    }

    /// - Parameter retryAt: nil where the hit is admitted.
    init(limit: Int, remaining: Int, resetUnixSeconds: Int64, retryAt: Int64?, nowUnixMilliseconds now: Int64) {
        let retryAt = retryAt.map { max($0, now + 1) }
        self.init(
            isAdmitted: retryAt == nil, limit: limit, remaining: remaining, resetUnixSeconds: resetUnixSeconds,
            retryAfterSeconds: retryAt.map { Int(($0 - now + 999) / 1000) } ?? 0, retryAtUnixMilliseconds: retryAt ?? 0)
    }
}

extension LimitStatus {
    /// Which of two a client is told of: whether this one has to be waited for longer, or has less left of its limit.
    package func isCloser(than other: LimitStatus) -> Bool {
        if isAdmitted != other.isAdmitted { return !isAdmitted }
        if !isAdmitted { return retryAtUnixMilliseconds > other.retryAtUnixMilliseconds }
        // remaining / limit < other.remaining / other.limit, without a division.
        let (left, right) = (remaining.multipliedFullWidth(by: other.limit), other.remaining.multipliedFullWidth(by: limit))
        return (left.high, left.low) < (right.high, right.low)
    }
}
