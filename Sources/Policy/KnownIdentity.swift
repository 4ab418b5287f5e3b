import Bytes

/// An identity as one worker knows it, with what each rule makes of it worked out once.
public final class KnownIdentity {
    public let identity: Identity
    /// That of the rule asked for last, as most identities come under one only.
    private var latest: PreparedRule?
    /// By the rule's place.
    private var kept: [Int: PreparedRule] = [:]
    private let maximumKept: Int

    /// Of how many rules somebody's is kept: it is made anew for who comes under more of them by turns. Nobody in particular comes under any.
    private static let maximumRules = 16

    public init(_ identity: Identity) {
        self.identity = identity
        maximumKept = identity.kind == .anonymous ? .max : Self.maximumRules
    }

    /// Of the rules of one ``PolicyRules`` at a time: what was made for others is made anew.
    ///
    /// - Parameter buffer: for what is written while one is made.
    func prepared(for rule: Rule, in buffer: ByteBuffer) -> PreparedRule {
        if let latest, latest.rule === rule { return latest }
        return find(rule, in: buffer)
    }

    private func find(_ rule: Rule, in buffer: ByteBuffer) -> PreparedRule {
        let known = kept[rule.index].flatMap { $0.rule === rule ? $0 : nil }
        let found = known ?? PreparedRule(rule, identity, in: buffer)
        if known == nil, kept.count >= maximumKept { kept.removeAll(keepingCapacity: true) }
        kept[rule.index] = found
        latest = found
        return found
    }
}

/// What a rule makes of an identity, as far as no request need be seen for it.
public final class PreparedRule {
    enum Refusal {
        /// A condition that doesn't hold, by its reason.
        case condition([UInt8])
        /// A claim that a header of the request shall carry is missing, or cannot be carried.
        case claimsUnfit
        /// A limit lets nothing through for this subject.
        case subjectDenied
        /// A limit can't count this subject.
        case keyUnfit
    }

    let rule: Rule
    let refusal: Refusal?
    /// Of the limits whose key says nothing of the request.
    let hits: [Hit]
    /// The others.
    let limitsByRequest: [Limit]
    /// What is done to the request, whatever it is.
    public let requestHeaders: [HeaderChange]
    /// What is done to the answer, whatever the request.
    public let responseHeaders: [HeaderChange]
    /// How many limits are in force and the same for every request: 0 where they are not.
    public let toldLimitCount: Int
    /// A place for whoever writes verdicts to keep what it has written.
    package var written: AnyObject? {
        get { ownWritten }
        set { ownWritten = newValue }
    }
    // By way of accessors, which are called: what other modules touch themselves is checked each time for being touched twice.
    private var ownWritten: AnyObject?

    init(_ rule: Rule, _ identity: Identity, in buffer: ByteBuffer) {
        self.rule = rule
        var preparation = Preparation(rule, identity, buffer)
        // A preflight that conditions would refuse is let through, and must bring nobody's headers either.
        let unfit = preparation.addRequestHeaders()
        if let failed = rule.options.conditions.first(where: { !$0.holds(for: identity.claims) }) {
            refusal = .condition(failed.reason.bytes)
        } else {
            refusal = preparation.addLimits() ?? unfit
        }
        hits = preparation.hits
        limitsByRequest = preparation.limitsByRequest
        requestHeaders = preparation.requestHeaders
        responseHeaders = preparation.responseHeaders()
        let isSameForAll = limitsByRequest.isEmpty && rule.options.limitsBeforeAuthentication.isEmpty
        toldLimitCount = isSameForAll ? preparation.hits.count { !$0.limit.isShadow } : 0
    }

    /// Those limits: what clients are told of them, whatever is left.
    public var toldLimits: [Allowance] { toldLimitCount == 0 ? [] : hits.filter { !$0.limit.isShadow }.map(\.allowance) }
}

/// The making of a ``PreparedRule``.
private struct Preparation {
    private let rule: Rule
    private let identity: Identity
    private let buffer: ByteBuffer
    var hits: [Hit] = []
    var limitsByRequest: [Limit] = []
    var requestHeaders: [HeaderChange] = []

    init(_ rule: Rule, _ identity: Identity, _ buffer: ByteBuffer) {
        self.rule = rule
        self.identity = identity
        self.buffer = buffer
    }

    /// These belong to denials too. Without one that it can't have, an answer is an answer still.
    func responseHeaders() -> [HeaderChange] {
        guard !rule.options.responseHeaders.isEmpty else { return [] }
        return rule.options.responseHeaders.filter { !$0.dependsOnRequest }.compactMap {
            $0.change(identity, RequestView.none(), in: buffer)
        }
    }

    /// A limit that is tried out only can't refuse.
    mutating func addLimits() -> PreparedRule.Refusal? {
        let subject = identity.counted
        for limit in rule.options.limits {
            let allowance = limit.allowance(for: identity)
            switch allowance.kind {
            case .unlimited: continue
            case .denied where limit.isShadow: continue
            case .denied: return .subjectDenied
            case .quota where limit.key.dependsOnRequest: limitsByRequest.append(limit)
            case .quota(let quota):
                guard let hit = limit.hit(quota, allowance, cost: rule.options.cost, of: subject, RequestView.none(), in: buffer) else {
                    if limit.isShadow { continue }
                    return .keyUnfit
                }
                hits.append(hit)
            }
        }
        return nil
    }

    mutating func addRequestHeaders() -> PreparedRule.Refusal? {
        let (owned, changed, hidden) = (rule.options.identityHeaders, rule.options.requestHeaders, rule.credentialHeaders)
        requestHeaders.reserveCapacity(owned.count + changed.count + hidden.count)
        for header in owned {
            buffer.clear()
            // Of nobody nothing is told, not even a default.
            switch identity.kind == .anonymous ? .remove : header.evaluate(identity.claims, to: buffer) {
            case .set: requestHeaders.append(HeaderChange(name: header.name.bytes, value: buffer.bytes.array))
            case .remove: requestHeaders.append(HeaderChange(name: header.name.bytes, value: nil))
            case .unfit: return .claimsUnfit
            }
        }
        for operation in changed where !operation.dependsOnRequest {
            guard let change = operation.change(identity, RequestView.none(), in: buffer) else { return .claimsUnfit }
            requestHeaders.append(change)
        }
        for name in hidden { requestHeaders.append(HeaderChange(name: name, value: nil)) }
        return nil
    }
}
