/// A bucket of tokens: a hit takes as many as it costs, and `count` a window flow in evenly until it is full.
///
/// Kept as the generic cell rate algorithm does (ITU-T I.371, virtual scheduling): all there is to know is when the bucket
/// will be full again. That moment is in milliseconds and parts of one, of which there are `count`: a token takes
/// `length / count` milliseconds to flow in, so every moment is a whole number of parts, and nothing is ever rounded.
///
/// At the most `burst + count` pass in a stretch as long as the window: a full bucket, and what flows in meanwhile.
public struct TokenBucket: Sendable, Hashable {
    /// When it will be full, in milliseconds since 1970.
    public private(set) var fullAtMilliseconds: Int64
    /// And parts of a millisecond: fewer than `count`.
    public private(set) var fullAtParts: Int64

    /// Full since 1970.
    public init() { self.init(fullAtMilliseconds: 0, fullAtParts: 0) }

    public init(fullAtMilliseconds: Int64, fullAtParts: Int64) {
        self.fullAtMilliseconds = fullAtMilliseconds
        self.fullAtParts = fullAtParts
    }

    private init(_ time: PreciseTime) {
        self.init(fullAtMilliseconds: time.milliseconds, fullAtParts: time.parts)
    }

    /// The emptier one of two.
    public static func emptier(_ first: Self, _ second: Self) -> Self {
        (first.fullAtMilliseconds, first.fullAtParts) > (second.fullAtMilliseconds, second.fullAtParts) ? first : second
    }

    /// When it will be full, rounded up to a whole millisecond since 1970.
    public var refilledAtUnixMilliseconds: Int64 { fullAtMilliseconds + (fullAtParts > 0 ? 1 : 0) }

    /// Takes what a hit costs, where that much is there. A cost of 0 takes nothing.
    ///
    /// - Returns: whether it was there; and the bucket as the hit found it.
    public mutating func hit(_ quota: Quota, cost: Int, nowUnixMilliseconds: Int64) -> (isAdmitted: Bool, found: TokenBucket) {
        let now = Quota.moment(nowUnixMilliseconds)
        let fullAt = seen(quota, now)
        let found = Self(fullAt)
        self = found
        guard cost <= quota.burst else { return (false, found) }
        let after = fullAt + quota.refillTime(of: max(cost, 0))
        guard after <= quota.emptyBucket(now) else { return (false, found) }
        self = Self(after)
        return (true, found)
    }

    /// Puts back what a hit took.
    ///
    /// - Parameter refilledAtUnixMilliseconds: when the bucket would have been full had no more hits come, as the hit's
    ///   ``HitReceipt`` says. Past that moment what it took has flowed in again, and putting it back would be too much.
    public mutating func giveBack(
        _ quota: Quota, cost: Int, refilledAtUnixMilliseconds: Int64, nowUnixMilliseconds: Int64
    ) {
        let now = Quota.moment(nowUnixMilliseconds)
        guard now < refilledAtUnixMilliseconds else { return }
        self = Self(seen(quota, now) - quota.refillTime(of: min(max(cost, 0), quota.burst)))
    }

    func judge(_ quota: Quota, cost: Int, now: Int64) -> LimitStatus {
        let (fullAt, empty) = (seen(quota, now), quota.emptyBucket(now))
        let asked = max(cost, 1)
        guard asked <= quota.burst else { return quota.refusal(now: now) }
        let after = fullAt + quota.refillTime(of: asked)
        let isAdmitted = after <= empty
        let left = isAdmitted && cost > 0 ? after : fullAt
        return LimitStatus(
            limit: quota.burst, remaining: quota.tokens(flowingInWithin: empty - left),
            resetUnixSeconds: (left.roundedUp + 999) / 1000,
            retryAt: isAdmitted ? nil : now + (after - empty).roundedUp, nowUnixMilliseconds: now)
    }

    /// As it is now. An emptier one than empty was left by a larger quota, a clock that was set back, or somebody else.
    private func seen(_ quota: Quota, _ now: Int64) -> PreciseTime {
        let fullAt = PreciseTime(Quota.moment(fullAtMilliseconds), fullAtParts, of: quota)
        return min(max(fullAt, PreciseTime(now, 0, of: quota)), quota.emptyBucket(now))
    }
}

/// A moment, or a length of time, to one of a quota's parts of a millisecond.
public struct PreciseTime: Sendable, Comparable {
    public private(set) var milliseconds: Int64
    public private(set) var parts: Int64
    private let partsInMillisecond: Int64

    fileprivate init(_ milliseconds: Int64, _ parts: Int64, of quota: Quota) {
        partsInMillisecond = Int64(quota.count)
        self.milliseconds = milliseconds
        self.parts = min(max(parts, 0), partsInMillisecond - 1)
    }

    fileprivate static func + (left: Self, right: Self) -> Self {
        var sum = left
        sum.milliseconds += right.milliseconds
        sum.parts += right.parts
        if sum.parts >= sum.partsInMillisecond {
            sum.milliseconds += 1
            sum.parts -= sum.partsInMillisecond
        }
        return sum
    }

    fileprivate static func - (left: Self, right: Self) -> Self {
        var difference = left
        difference.milliseconds -= right.milliseconds
        difference.parts -= right.parts
        if difference.parts < 0 {
            difference.milliseconds -= 1
            difference.parts += difference.partsInMillisecond
        }
        return difference
    }

    public static func < (left: Self, right: Self) -> Bool {
        (left.milliseconds, left.parts) < (right.milliseconds, right.parts)
    }

    /// In whole milliseconds.
    fileprivate var roundedUp: Int64 { milliseconds + (parts > 0 ? 1 : 0) }
}

extension Quota {
    /// How long so many tokens take to flow into a bucket.
    ///
    /// - Parameter cost: from 0 to ``acceptedCounts``' end, so that nothing overflows.
    public func refillTime(of cost: Int) -> PreciseTime {
        let (milliseconds, parts) = (Int64(cost) * window.lengthMilliseconds).quotientAndRemainder(dividingBy: Int64(count))
        return PreciseTime(milliseconds, parts, of: self)
    }

    /// When a bucket that is empty now will be full.
    fileprivate func emptyBucket(_ now: Int64) -> PreciseTime { PreciseTime(now, 0, of: self) + refillTime(of: burst) }

    /// How many tokens flow in within a time that isn't longer than a bucket's refill.
    fileprivate func tokens(flowingInWithin time: PreciseTime) -> Int {
        Int((time.milliseconds * Int64(count) + time.parts) / window.lengthMilliseconds)
    }
}
