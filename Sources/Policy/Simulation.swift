import JSON

/// What a limit has counted before a request, for ``PolicyRules/decide(_:as:counts:revocation:nowUnixMilliseconds:trace:)``. A
/// whole number says it all in most cases.
public enum CountsBefore: Sendable, Hashable, ExpressibleByIntegerLiteral {
    /// What hits cost that are still in force: those of the current window, those that a log has in view, or what was taken from
    /// a bucket and has not flowed in again.
    ///
    /// - `previous`: for a sliding window, what the window before has counted.
    /// - `isFallback`: whether a process has counted by itself, since the shared store was lost.
    case counted(Int, previous: Int = 0, isFallback: Bool = false)
    /// The shared store was lost, and requests are then let through uncounted, or denied.
    case unavailable(isAllowed: Bool)

    public init(integerLiteral count: Int) { self = .counted(count) }
}

extension AuthenticationOutcome {
    /// A token with these claims, of the issuer with this place in the configuration. As with any token, claims that name no
    /// subject are refused.
    public static func token(_ claims: JSONObject, issuer: Int = 0) -> AuthenticationOutcome {
        Identity(claims: claims, issuer: issuer).map { .verified(KnownIdentity($0)) } ?? .refused(.tokenClaimsUnfit)
    }

    /// A known API key of this subject.
    ///
    /// - Parameter id: by which a limit may count it.
    public static func apiKey(_ subject: String, attributes: JSONObject = [:], id: String = "simulated") -> AuthenticationOutcome {
        Identity(apiKey: id, subject: subject, attributes: attributes).map { .verified(KnownIdentity($0)) } ?? .refused(.apiKeyUnknown)
    }

    fileprivate var credentialKind: CredentialKind {
        if case .verified(let known) = self, case .apiKey = known.identity.kind { .apiKey } else { .token }
    }
}

extension PolicyRules {
    /// Judges a request in isolation: whatever the judgement asks for is answered from the values given here. No socket, no
    /// thread, no clock; the same values always come to the same decision.
    ///
    /// - Parameters:
    ///   - credential: what becomes of the request's credential. A request without one is judged as if it carried one, so that
    ///     claims suffice. Nil: a credential that it carries all the same is taken for one that can't be read.
    ///   - counts: by a limit's name, what it has counted before this request for the same key; 0 where it isn't named.
    ///   - revocation: whether a token is revoked, where the rules ask for that.
    ///   - trace: is told each step.
    public func decide(
        _ request: Request, as credential: AuthenticationOutcome? = nil, counts: [String: CountsBefore] = [:],
        revocation: RevocationStatus = .valid, nowUnixMilliseconds now: Int64, trace: Trace? = nil
    ) -> Decision {
        let request = credential.map { carrying($0.credentialKind, request) } ?? request
        var evaluation = Evaluation(self, nowUnixMilliseconds: now, trace: trace)
        var action = evaluation.start(request.view)
        while true {
            switch action {
            case .authenticate: action = evaluation.authenticated(credential ?? .refused(.tokenMalformed), request.view)
            case .count(let counting):
                for (index, hit) in counting.hits.enumerated() {
                    evaluation.note(hit.outcome(after: counts[hit.limit.name] ?? 0, nowUnixMilliseconds: now), at: index)
                }
                action = evaluation.counted(revocation: counting.revocationOf.map { _ in revocation }, request.view)
            case .decided(let decision): return decision
            }
        }
    }

    /// The request with a credential in the first place for one of its kind, unless it has one.
    private func carrying(_ kind: CredentialKind, _ request: Request) -> Request {
        guard case .none = credentials.find(request.view), let source = credentials.firstSource(of: kind) else {
            return request
        }
        return request.carrying("simulated", at: source)
    }
}

extension Hit {
    fileprivate func outcome(after before: CountsBefore, nowUnixMilliseconds: Int64) -> HitOutcome {
        switch before {
        case .unavailable(let isAllowed): return .uncounted(isAllowed: isAllowed)
        case .counted(let used, let previous, let isFallback):
            let now = Quota.moment(nowUnixMilliseconds)
            let (state, charge) = quota.counted(cost, after: Self.count(used), previous: Self.count(previous), now)
            let status = quota.judge(state, cost: cost, nowUnixMilliseconds: now)
            return .counted(status, HitReceipt(charge, unixMilliseconds: now, isFallback: isFallback))
        }
    }

    /// A count that nothing reckoned with it can overflow.
    private static func count(_ number: Int) -> Int { min(max(number, 0), Quota.acceptedCounts.upperBound * 1000) }
}

extension Quota {
    /// What a store would say of a hit.
    fileprivate func counted(_ cost: Int, after used: Int, previous: Int, _ now: Int64) -> (LimitState, HitReceipt.Charge) {
        switch algorithm {
        case .slidingWindow, .fixedWindow:
            return (.windows(WindowCounts(current: used + cost, previous: previous)), .window(window.number(atMilliseconds: now)))
        case .slidingLog:
            let roomAt = now + window.lengthMilliseconds
            return (.log(LogView(used: used, newestUnixMilliseconds: used > 0 ? now : 0, roomAtUnixMilliseconds: roomAt)), .log(id: 0))
        case .tokenBucket:
            let missing = refillTime(of: min(used, burst))
            let bucket = TokenBucket(fullAtMilliseconds: now + missing.milliseconds, fullAtParts: missing.parts)
            var after = bucket
            _ = after.hit(self, cost: cost, nowUnixMilliseconds: now)
            return (.bucket(bucket), .bucket(refilledAtUnixMilliseconds: after.refilledAtUnixMilliseconds))
        }
    }
}
