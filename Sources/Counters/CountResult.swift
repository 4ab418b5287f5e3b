import Policy

/// What happens to hits while the store they should be counted in can't be asked.
public enum FailureMode: String, Sendable, CaseIterable {
    /// They are counted in this process's memory, starting from the counts last seen.
    case local
    /// They are refused.
    case deny
    /// They pass uncounted.
    case allow
}

/// What counting one hit came to.
public enum CountResult: Sendable, Equatable {
    /// The hit is counted, in window `number`. `isFallback` where it is counted in memory for want of Redis.
    case counted(WindowCounts, number: Int64, isFallback: Bool)
    /// Nobody could count it: let it pass or refuse it, as the failure mode says. There is nothing to give back.
    case unavailable(FailureMode)
}

/// What ``CounterStore/hit(keyPrefix:window:nowUnixMilliseconds:receiver:ticket:)`` answers at once.
public enum CountOutcome: Sendable, Equatable {
    case done(CountResult)
    /// The receiver will be told, exactly once, and no later than the store's deadline.
    case pending
}

/// Who waits for counts that took time.
public protocol CountReceiver: AnyObject {
    /// Brings the result of the hit that `ticket` was given for, on the store's loop.
    ///
    /// Judge it here, and give it back before returning where it is refused: a store that counted the hit twice, in Redis too
    /// late and in memory instead, knows then that neither is to keep it.
    func counted(ticket: UInt64, _ result: CountResult)
}
