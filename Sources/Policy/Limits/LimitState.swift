/// What a store knows of one key as a hit arrives: what its quota judges the hit by.
public enum LimitState: Sendable, Hashable {
    /// For a sliding or a fixed window: the counts with this hit, whether it is admitted or not.
    case windows(WindowCounts)
    /// For a sliding log: what is in view of it without this hit.
    case log(LogView)
    /// For a token bucket: the bucket without this hit.
    case bucket(TokenBucket)

    /// That of a key that was never hit, for a hit of this cost.
    public static func first(_ quota: Quota, cost: Int) -> LimitState {
        switch quota.algorithm {
        case .slidingWindow, .fixedWindow: .windows(WindowCounts(current: cost, previous: 0))
        case .slidingLog: .log(LogView())
        case .tokenBucket: .bucket(TokenBucket())
        }
    }
}

extension Quota {
    /// Judges one hit.
    ///
    /// - Parameters:
    ///   - state: what the store knew as it counted the hit.
    ///   - cost: what the hit counts for. 0 asks whether one of cost 1 would be admitted, and says so in `isAdmitted`.
    ///   - nowUnixMilliseconds: the moment at which the hit was counted, as its receipt says.
    public func judge(_ state: LimitState, cost: Int, nowUnixMilliseconds: Int64) -> LimitStatus {
        let now = Self.moment(nowUnixMilliseconds)
        switch (algorithm, state) {
        case (.slidingWindow, .windows(let counts)):
            return SlidingWindow.judge(counts, limit: count, window: window, cost: cost, nowUnixMilliseconds: now)
        case (.fixedWindow, .windows(let counts)):
            return FixedWindow.judge(counts, limit: count, window: window, cost: cost, nowUnixMilliseconds: now)
        case (.slidingLog, .log(let view)): return SlidingLog.judge(view, self, cost: cost, now: now)
        case (.tokenBucket, .bucket(let bucket)): return bucket.judge(self, cost: cost, now: now)
        // No store answers so; what is unexpected is refused.
        default: return refusal(now: now)
        }
    }

    /// What a hit is told that was not counted, since it is known to be refused until some moment.
    public func refusal(untilUnixMilliseconds until: Int64, nowUnixMilliseconds: Int64) -> LimitStatus {
        let now = Self.moment(nowUnixMilliseconds)
        let reset = switch algorithm {
        case .slidingWindow, .fixedWindow: window.end(of: window.number(atMilliseconds: now))
        case .slidingLog, .tokenBucket: (Self.moment(until) + 999) / 1000
        }
        return LimitStatus(
            limit: burst, remaining: 0, resetUnixSeconds: reset, retryAt: Self.moment(until), nowUnixMilliseconds: now)
    }

    /// What a hit is told that can never be admitted: a client that asks once a window does no harm.
    func refusal(now: Int64) -> LimitStatus {
        refusal(untilUnixMilliseconds: now + window.lengthMilliseconds, nowUnixMilliseconds: now)
    }

    /// A moment that nothing reckoned with it can overflow: from 1970 on, and such that a double holds it exactly.
    static func moment(_ unixMilliseconds: Int64) -> Int64 { min(max(unixMilliseconds, 0), 1 << 52) }
}
