import Bytes

/// What became of a credential.
public enum AuthenticationOutcome {
    case verified(KnownIdentity)
    /// Refused, for a reason that tells why.
    case refused(Reason)
    /// Nobody can say: the keys that it would be verified with are not there.
    case keysUnavailable
}

/// What became of the attempt to count one hit.
public enum HitOutcome: Sendable {
    /// Counted, and judged by its ``Hit/quota`` at the moment that the receipt says. One that isn't admitted is to be given back
    /// by whoever counted it.
    case counted(LimitStatus, HitReceipt)
    /// Not counted: it is known that nothing will be let through before this moment, in milliseconds since 1970.
    case knownOver(untilUnixMilliseconds: Int64)
    /// The shared store was lost, and what happens then is the operator's choice.
    case uncounted(isAllowed: Bool)
}

/// What a request has to be counted by, all of it in one go.
public struct Counting: Sendable {
    public let hits: [Hit]
    /// What has to be asked besides: whether this identity's token is revoked.
    public let revocationOf: Identity?
}

/// The judgement of one request: find its rule, authenticate, check conditions, count, decide.
///
/// A value that asks for one thing at a time and is told what came of it. It does no I/O and reads no clock, so that it can
/// be kept while the answer to a question is under way, and tested without a socket. The request is lent with each call.
public struct Evaluation {
    /// What the evaluation needs next.
    public enum Action {
        /// The verdict on this credential; go on with ``authenticated(_:_:)``.
        case authenticate(Credential)
        /// Hits counted at ``nowUnixMilliseconds``: tell what became of each with ``note(_:at:)``, and go on with
        /// ``counted(revocation:_:)``.
        case count(Counting)
        case decided(Decision)
    }

    private enum Stage {
        case started
        /// Counting by the limits before authentication.
        case admitting
        /// Asking whether there were too many failures.
        case screening(Credential)
        case authenticating
        /// Counting a failure, after which the request is denied for this reason.
        case failing(Reason)
        case counting
        case decided
    }

    /// What whoever evaluates many requests, one after the other, keeps for all of them.
    public final class Workspace {
        let anonymous = KnownIdentity(.anonymous)
        /// For what is written on the way.
        let buffer = ByteBuffer(capacity: 256)

        public init() {}
    }

    private let rules: PolicyRules
    private let workspace: Workspace
    /// The moment at which the request is judged, in milliseconds since 1970.
    public let nowUnixMilliseconds: Int64
    private let trace: Trace?

    private var stage = Stage.started
    private var rule: Rule?
    private var isPreflight = false
    private var known: KnownIdentity?
    /// What the rule makes of the identity.
    private var prepared: PreparedRule?
    /// What is left of query and cookies; nil where no credential stands in either.
    private var stripped: StrippedRequest?
    /// What is being counted.
    private var judged = JudgedHits()
    /// What was counted before, and let the request through.
    private var passed: [Decision.Standing] = []
    /// Told of something that was not asked for.
    private var isMisused = false

    /// - Parameters:
    ///   - trace: is told each step.
    public init(
        _ rules: PolicyRules, nowUnixMilliseconds: Int64, workspace: Workspace = Workspace(), trace: Trace? = nil
    ) {
        self.rules = rules
        self.nowUnixMilliseconds = nowUnixMilliseconds
        self.workspace = workspace
        self.trace = trace
    }

    /// Whether the request is looked at when its counts are there. Where it isn't, ``RequestView/none()`` may be lent.
    public var needsRequestAgain: Bool {
        switch stage {
        case .admitting, .screening: true
        default: rule?.needsRequestToAnswer ?? rules.denials.dependOnRequest
        }
    }

    // MARK: The steps

    /// Begins. This and the steps that follow, called out of turn, answer a denial with `internal-failure`.
    public mutating func start(_ request: borrowing RequestView) -> Action {
        guard case .started = stage else { return misused() }
        guard let rule = findRule(request) else {
            trace?.note("no rule matches")
            return deny(.ruleMissing, request)
        }
        self.rule = rule
        trace?.note("rule \(rule.name)")
        guard !rule.options.limitsBeforeAuthentication.isEmpty else { return authenticate(request) }
        var hits: [Hit] = []
        for limit in rule.options.limitsBeforeAuthentication {
            guard add(limit, .anonymous, cost: 1, request, to: &hits) else { return deny(.limitKeyUnfit, request) }
        }
        return count(hits, .admitting)
    }

    /// A preflight belongs to the rule of the request that it asks about.
    private mutating func findRule(_ request: borrowing RequestView) -> Rule? {
        if let method = CORSPreflight.requestedMethod(of: request), let rule = rules.rule(for: request, method: method),
            rule.options.allowsPreflight
        {
            isPreflight = true
            return rule
        }
        return rules.rule(for: request, method: request.method)
    }

    private mutating func authenticate(_ request: borrowing RequestView) -> Action {
        guard let rule else { return misused() }
        guard !isPreflight else {
            trace?.note("a CORS preflight, let through")
            known = workspace.anonymous
            prepared = workspace.anonymous.prepared(for: rule, in: workspace.buffer)
            stripped = rules.credentials.stripCredentials(from: request)
            return allow(.allowedPreflight, [], request)
        }
        guard rule.options.authentication != .none else {
            trace?.note("no authentication is asked for")
            return checkConditions(of: workspace.anonymous, request)
        }
        switch rules.credentials.find(request) {
        case .none where rule.options.authentication == .optional:
            trace?.note("no credential, and none is required")
            return checkConditions(of: workspace.anonymous, request)
        case .none: return deny(.tokenMissing, request)
        case .repeated: return deny(.authorizationRepeated, request)
        case .one(let credential):
            stripped = rules.credentials.stripCredentials(from: request)
            guard let limit = rules.failureLimit else { return askFor(credential) }
            var hits: [Hit] = []
            guard add(limit, .anonymous, cost: 0, request, to: &hits) else { return deny(.limitKeyUnfit, request) }
            return count(hits, .screening(credential))
        }
    }

    private mutating func askFor(_ credential: Credential) -> Action {
        stage = .authenticating
        return .authenticate(credential)
    }

    /// Goes on with what became of the credential that was asked about.
    public mutating func authenticated(_ outcome: AuthenticationOutcome, _ request: borrowing RequestView) -> Action {
        guard case .authenticating = stage, let rule else { return misused() }
        switch outcome {
        case .verified(let known) where rule.accepts(known.identity):
            trace?.note("authenticated as \(String(decoding: known.identity.subject ?? [], as: UTF8.self).debugDescription)")
            return checkConditions(of: known, request)
        case .verified: return fail(.tokenIssuerNotAccepted, request)
        case .refused(let reason): return fail(reason, request)
        case .keysUnavailable: return deny(.keysUnavailable, request)
        }
    }

    /// Counts the failure, where that is limited, and denies.
    private mutating func fail(_ reason: Reason, _ request: borrowing RequestView) -> Action {
        trace?.note("refused: \(reason.text)")
        guard let limit = rules.failureLimit else { return deny(reason, request) }
        var hits: [Hit] = []
        guard add(limit, .anonymous, cost: 1, request, to: &hits) else { return deny(.limitKeyUnfit, request) }
        return count(hits, .failing(reason))
    }

    private mutating func checkConditions(of known: KnownIdentity, _ request: borrowing RequestView) -> Action {
        guard let rule else { return misused() }
        self.known = known
        for index in rule.options.certificateConditions.indices {
            let condition = rule.options.certificateConditions[index]
            guard request.parts.certificate != nil else { return deny(.certificateMissing, request) }
            let holds = condition.holds(for: request)
            trace?.note("condition on the certificate's \(condition.fact.rawValue): \(holds ? "holds" : "doesn't hold")")
            guard holds else { return deny(.certificateUnfit, text: condition.reason.bytes, request) }
        }
        trace?.note(rule.options.conditions, known.identity.claims)
        let prepared = known.prepared(for: rule, in: workspace.buffer)
        self.prepared = prepared
        switch prepared.refusal {
        case .condition(let reason)?: return deny(.conditionFailed, text: reason, request)
        case .claimsUnfit?: return deny(.tokenClaimsUnfit, request)
        case .subjectDenied?: return deny(.subjectDenied, request)
        case .keyUnfit?: return deny(.limitKeyUnfit, request)
        case nil: break
        }
        var hits = prepared.hits
        for index in prepared.limitsByRequest.indices {
            guard add(prepared.limitsByRequest[index], known.identity, cost: rule.options.cost, request, to: &hits) else { return deny(.limitKeyUnfit, request) }
        }
        guard !hits.isEmpty || asksForRevocation else { return allow(.allowed, [], request) }
        return count(hits, .counting, revocationOf: asksForRevocation ? known.identity : nil)
    }

    private var asksForRevocation: Bool { rules.checksRevocation && known?.identity.isToken == true }

    /// Adds a hit, unless the identity isn't limited. False where the request can't be counted.
    private func add(
        _ limit: Limit, _ identity: Identity, cost: Int, _ request: borrowing RequestView, to hits: inout [Hit]
    ) -> Bool {
        let allowance = limit.allowance(for: identity)
        guard case .quota(let quota) = allowance.kind else { return true }
        guard let hit = limit.hit(quota, allowance, cost: cost, of: identity.counted, request, in: workspace.buffer) else { return limit.isShadow }
        hits.append(hit)
        return true
    }

    // MARK: Counted

    private mutating func count(_ hits: [Hit], _ stage: Stage, revocationOf identity: Identity? = nil) -> Action {
        self.stage = stage
        judged = JudgedHits(hits)
        return .count(Counting(hits: hits, revocationOf: identity))
    }

    /// Tells what became of the `index`th hit of the ``Counting``, once.
    public mutating func note(_ outcome: HitOutcome, at index: Int) {
        if !judged.note(outcome, at: index, nowUnixMilliseconds: nowUnixMilliseconds) { isMisused = true }
    }

    /// - Parameter revocation: needed where the ``Counting`` asks for it.
    public mutating func counted(revocation: RevocationStatus? = nil, _ request: borrowing RequestView) -> Action {
        guard !isMisused, judged.isComplete else { return misused() }
        let judged = exchange(&self.judged, with: JudgedHits())
        if let trace { judged.tell(trace) }
        switch stage {
        case .admitting:
            guard judged.isAdmitted else { return refuse(judged, nil, request) }
            passed = judged.standings
            return authenticate(request)
        case .screening(let credential):
            guard judged.denying == nil else { return refuse(judged, .authenticationFailuresExceeded, request) }
            guard judged.isAdmitted else { return refuse(judged, nil, request) }
            return askFor(credential)
        case .failing(let reason):
            guard judged.denying == nil else { return refuse(judged, .authenticationFailuresExceeded, request) }
            return deny(reason, request)
        case .counting:
            if asksForRevocation { trace?.note("revocation of the token: \(revocation.map { "\($0)" } ?? "not answered")") }
            switch revocation {
            case .revoked: return refuse(judged, .tokenRevoked, request)
            case .unavailable: return refuse(judged, .revocationUnavailable, request)
            case nil where asksForRevocation: return refuse(judged, .internalFailure, request)
            case .valid, nil: break
            }
            guard judged.isAdmitted else { return refuse(judged, nil, request) }
            return allow(judged.reasonToAllow, judged.standings, request)
        case .started, .authenticating, .decided: return misused()
        }
    }

    // MARK: Deciding

    private mutating func allow(_ reason: Reason, _ standings: [Decision.Standing], _ request: borrowing RequestView) -> Action {
        guard let rule else { return misused() }
        var changes = RequestChanges()
        if stripped != nil || rule.hasHeadersByRequest, let known,
            !changes.render(rule, known.identity, stripped, request, in: workspace.buffer) {
            passed += standings.map(\.givenBack)
            return deny(.headerUnfit, request)
        }
        // Moved, not copied: an evaluation that has decided needs neither any more.
        return decide(
            Decision(
                reason, rule: exchange(&self.rule, with: nil), known: exchange(&known, with: nil), prepared: exchange(&prepared, with: nil),
                standings: passed.isEmpty ? standings : passed + standings, changes: changes, limitFields: rules.limitFields))
    }

    /// Denies for another reason than a limit. What was counted before anybody was authenticated stays counted: it is there to
    /// slow down those who are denied.
    private mutating func deny(_ reason: Reason, text: [UInt8]? = nil, _ request: borrowing RequestView) -> Action {
        let denial = denials.denial(reason, text: text, known?.identity, request)
        return decide(
            Decision(
                reason, text: text, rule: rule, known: known, prepared: prepared, standings: passed, changes: changesToDenial(request), denial: denial,
                limitFields: rules.limitFields))
    }

    /// Denies a request that was counted: no limit is charged for it, but that one whose token is no good any more stays counted
    /// by those before authentication.
    ///
    /// - Parameter reason: nil where it is what the counts say.
    private mutating func refuse(_ judged: JudgedHits, _ reason: Reason?, _ request: borrowing RequestView) -> Action {
        let reason = reason ?? judged.reasonToDeny
        let earlier = reason.denialKind == .unauthorized ? passed : passed.map(\.givenBack)
        let standings = earlier + judged.standings.map(\.givenBack)
        let denial = denials.denial(reason, judged.exceeded, known?.identity, request)
        return decide(
            Decision(
                reason, rule: rule, known: known, prepared: prepared, standings: standings, changes: changesToDenial(request), denial: denial,
                limitFields: rules.limitFields))
    }

    private func changesToDenial(_ request: borrowing RequestView) -> RequestChanges {
        var changes = RequestChanges()
        if let rule { changes.renderAnswer(rule, known ?? workspace.anonymous, request, in: workspace.buffer) }
        return changes
    }

    private var denials: Denials { rule?.options.denials ?? rules.denials }

    private mutating func decide(_ decision: Decision) -> Action {
        trace?.note("\(decision.denial.map { "denied with \($0.status)" } ?? "allowed"): \(String(decoding: decision.reasonText, as: UTF8.self))")
        stage = .decided
        return .decided(decision)
    }

    /// Ends it with a denial: what was asked for can't be carried out.
    public mutating func failed(_ request: borrowing RequestView) -> Action { deny(.internalFailure, request) }

    /// Told something that was not asked for: whatever is unexpected denies.
    private mutating func misused() -> Action { deny(.internalFailure, RequestView.none()) }
}
