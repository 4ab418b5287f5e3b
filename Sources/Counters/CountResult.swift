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
public enum CountResult: Sendable, Hashable {
    /// Judge it by this state, at the moment that its receipt says.
    case counted(LimitState, HitReceipt)
    /// Not counted: the key is known here to have no room for it before this moment, by the caller's clock. There is nothing
    /// to give back.
    case knownOver(untilUnixMilliseconds: Int64)
    /// Nobody could count it: let it pass or refuse it, as the failure mode says. There is nothing to give back.
    case unavailable(FailureMode)
}

/// What ``CounterStore/hit(key:quota:cost:nowUnixMilliseconds:receiver:ticket:)`` answers at once.
public enum CountOutcome: Sendable, Hashable {
    case done(CountResult)
    /// The receiver will be told, exactly once, and no later than the store's deadline.
    case pending
}

/// Who waits for what took time.
public protocol CountReceiver: AnyObject {
    /// Brings the result of the hit that `ticket` was given for, on the store's loop.
    ///
    /// A hit of a request that is denied is to be given back, best before returning.
    func counted(ticket: UInt64, _ result: CountResult)

    /// Brings what Redis says of the key that `ticket` was given for, on the store's loop.
    func lookedUp(ticket: UInt64, _ result: RevocationResult)
}
