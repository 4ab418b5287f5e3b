/// What became of a token.
public enum TokenOutcome: Sendable {
    case verified(Principal)
    /// Refused, for one of the reasons that begin with `token`.
    case refused(Reason)
}

/// What became of the attempt to count a request.
public enum HitOutcome: Sendable {
    /// Counted: what the counts are with this hit, and where it went.
    case counted(WindowCounts, CountedHit)
    /// The shared store was lost, and what happens then is the operator's choice.
    case uncounted(isAllowed: Bool)
}

/// The judgement of one request: authenticate, count, decide.
///
/// A value that asks for one thing at a time and is told what came of it. It does no I/O and reads no clock, so that it can
/// be kept while the answer to a question is under way, and tested without a socket.
public struct Evaluation: Sendable {
    /// What the evaluation needs next.
    public enum Action: Sendable {
        /// The verdict on the token at this place of the `Authorization` field's value; go on with ``verified(_:)``.
        case verify(Range<Int>)
        /// One hit counted for this principal at ``nowUnixMilliseconds``; go on with ``counted(_:)``.
        case count(Principal)
        case decided(Decision)
    }

    private enum Stage {
        case started
        case verifying
        case counting(Principal)
        case decided
    }

    private let rules: PolicyRules
    /// The moment at which the request is judged, in milliseconds since 1970.
    public let nowUnixMilliseconds: Int64
    private var stage = Stage.started

    public init(_ rules: PolicyRules, nowUnixMilliseconds: Int64) {
        self.rules = rules
        self.nowUnixMilliseconds = nowUnixMilliseconds
    }

    public mutating func start(_ credentials: Credentials) -> Action {
        guard case .started = stage else { return misused() }
        switch credentials {
        case .none: return decide(Decision(.tokenMissing, denial: rules.denials.tokenMissing))
        case .repeated: return decide(Decision(.authorizationRepeated, denial: rules.denials.authorizationRepeated))
        case .bearer(let token):
            stage = .verifying
            return .verify(token)
        }
    }

    public mutating func verified(_ outcome: TokenOutcome) -> Action {
        guard case .verifying = stage else { return misused() }
        switch outcome {
        case .verified(let principal):
            stage = .counting(principal)
            return .count(principal)
        case .refused(.tokenExpired):
            return decide(Decision(.tokenExpired, denial: rules.denials.tokenExpired))
        case .refused(let reason):
            return decide(Decision(reason, denial: rules.denials.tokenInvalid))
        }
    }

    public mutating func counted(_ outcome: HitOutcome) -> Action {
        guard case .counting(let principal) = stage else { return misused() }
        switch outcome {
        case .counted(let counts, let hit):
            let status = SlidingWindow.judge(
                counts, limit: rules.limit, window: rules.window, nowUnixMilliseconds: nowUnixMilliseconds)
            if status.isAdmitted {
                let reason = hit.isFallback ? Reason.allowedCountedLocally : .allowed
                return decide(Decision(reason, principal: principal, limit: status))
            }
            return decide(
                Decision(
                    hit.isFallback ? .limitExceededCountedLocally : .limitExceeded, principal: principal, limit: status,
                    denial: rules.denials.limitExceeded(status), hitToGiveBack: hit))
        case .uncounted(isAllowed: true):
            return decide(Decision(.allowedUncounted, principal: principal))
        case .uncounted(isAllowed: false):
            return decide(Decision(.storeUnavailable, principal: principal, denial: rules.denials.storeUnavailable))
        }
    }

    private mutating func decide(_ decision: Decision) -> Action {
        stage = .decided
        return .decided(decision)
    }

    /// Told something that was not asked for: whatever is unexpected denies.
    private mutating func misused() -> Action {
        decide(Decision(.internalFailure, denial: rules.denials.internalFailure))
    }
}
