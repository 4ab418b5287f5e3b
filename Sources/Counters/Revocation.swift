/// What Redis says of something that may have been revoked.
public enum RevocationResult: Sendable, Hashable {
    case notRevoked
    /// Revoked: everything issued before this moment. What is no number is taken for the end of time.
    case revoked(unixSeconds: Int64)
    /// Nobody could say. Such a token is refused, whatever the failure mode: one that was revoked must not pass.
    case unavailable
}

/// What ``CounterStore/revocation(of:receiver:ticket:)`` answers at once.
public enum RevocationOutcome: Sendable, Hashable {
    case done(RevocationResult)
    /// The receiver will be told, exactly once, and no later than the store's deadline.
    case pending
}
