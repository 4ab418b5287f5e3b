/// What a request came to.
public struct Decision: Sendable {
    public let reason: Reason
    /// As whom the request is made; nil where that isn't known.
    public let principal: Principal?
    /// How the request stands to its limit; nil where it was not counted.
    public let limit: LimitStatus?
    /// The answer to the client; nil where the request is allowed.
    public let denial: Denial?
    /// The hit that has to be given back, since a denied request is charged to nobody.
    public let hitToGiveBack: CountedHit?

    init(
        _ reason: Reason, principal: Principal? = nil, limit: LimitStatus? = nil, denial: Denial? = nil,
        hitToGiveBack: CountedHit? = nil
    ) {
        self.reason = reason
        self.principal = principal
        self.limit = limit
        self.denial = denial
        self.hitToGiveBack = hitToGiveBack
    }
}

/// Where a hit was counted.
public struct CountedHit: Sendable, Equatable {
    /// The number of its window.
    public let window: Int64
    /// Whether this process counted it by itself, since the shared store was lost.
    public let isFallback: Bool

    public init(window: Int64, isFallback: Bool) {
        self.window = window
        self.isFallback = isFallback
    }
}

/// The answer to a request that is not let through. Its body is JSON.
public struct Denial: Sendable {
    /// The HTTP status.
    public let status: UInt16
    public let body: [UInt8]
    /// The value of `WWW-Authenticate` (RFC 9110 §11.6.1).
    public var challenge: [UInt8]?
    /// The value of `Retry-After` in seconds.
    public var retryAfterSeconds: Int?
}
