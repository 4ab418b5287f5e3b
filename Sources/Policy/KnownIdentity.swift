import Bytes

/// An identity as one worker knows it, with what each rule makes of it worked out once.
public final class KnownIdentity {
    public let identity: Identity
    private var prepared: [PreparedRule?] = []

    public init(_ identity: Identity) { self.identity = identity }

    /// Of the rules of one ``PolicyRules`` at a time: what was made for others is made anew.
    func prepared(for rule: Rule) -> PreparedRule {
        if rule.index < prepared.count, let known = prepared[rule.index], known.rule === rule { return known }
        while prepared.count <= rule.index { prepared.append(nil) }
        let new = PreparedRule(rule, identity)
        prepared[rule.index] = new
        return new
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
    private(set) var refusal: Refusal?
    /// Of the limits whose key says nothing of the request.
    private(set) var hits: [Hit] = []
    /// The others.
    private(set) var limitsByRequest: [Limit] = []
    /// What is done to the request, whatever it is.
    public private(set) var requestHeaders: [HeaderChange] = []
    /// What is done to the answer, whatever the request.
    public private(set) var responseHeaders: [HeaderChange] = []
    /// The limits that are in force, where they are the same for every request: what clients are told of them, whatever is left.
    public private(set) var toldLimits: [Allowance] = []
    /// A place for whoever writes verdicts to keep what it has written.
    public var written: AnyObject?

    init(_ rule: Rule, _ identity: Identity) {
        self.rule = rule
        prepareResponseHeaders(rule, identity)
        // A preflight that conditions would refuse is let through, and must bring nobody's headers either.
        let unfit = prepareRequestHeaders(rule, identity)
        if let failed = rule.options.conditions.first(where: { !$0.holds(for: identity.claims) }) {
            refusal = .condition(failed.reason.bytes)
        } else {
            refusal = prepareLimits(rule, identity) ?? unfit
        }
        if limitsByRequest.isEmpty, rule.options.limitsBeforeAuthentication.isEmpty {
            toldLimits = hits.filter { !$0.limit.isShadow }.map(\.allowance)
        }
    }

    /// These belong to denials too. Without one that it can't have, an answer is an answer still.
    private func prepareResponseHeaders(_ rule: Rule, _ identity: Identity) {
        guard !rule.options.responseHeaders.isEmpty else { return }
        let buffer = ByteBuffer(capacity: 256)
        responseHeaders = rule.options.responseHeaders.filter { !$0.dependsOnRequest }.compactMap {
            $0.change(identity, RequestView.none(), in: buffer)
        }
    }

    /// A limit that is tried out only can't refuse.
    private func prepareLimits(_ rule: Rule, _ identity: Identity) -> Refusal? {
        let subject = identity.counted
        for limit in rule.options.limits {
            let allowance = limit.allowance(for: identity)
            switch allowance.kind {
            case .unlimited: continue
            case .denied where limit.isShadow: continue
            case .denied: return .subjectDenied
            case .quota where limit.key.dependsOnRequest: limitsByRequest.append(limit)
            case .quota(let quota):
                guard let hit = limit.hit(quota, allowance, cost: rule.options.cost, of: subject, RequestView.none()) else {
                    if limit.isShadow { continue }
                    return .keyUnfit
                }
                hits.append(hit)
            }
        }
        return nil
    }

    private func prepareRequestHeaders(_ rule: Rule, _ identity: Identity) -> Refusal? {
        let buffer = ByteBuffer(capacity: 256)
        for header in rule.options.identityHeaders {
            buffer.clear()
            // Of nobody nothing is told, not even a default.
            switch identity.kind == .anonymous ? .remove : header.evaluate(identity.claims, to: buffer) {
            case .set: requestHeaders.append(HeaderChange(name: header.name.bytes, value: buffer.bytes.array))
            case .remove: requestHeaders.append(HeaderChange(name: header.name.bytes, value: nil))
            case .unfit: return .claimsUnfit
            }
        }
        for operation in rule.options.requestHeaders where !operation.dependsOnRequest {
            guard let change = operation.change(identity, RequestView.none(), in: buffer) else { return .claimsUnfit }
            requestHeaders.append(change)
        }
        for name in rule.credentialHeaders { requestHeaders.append(HeaderChange(name: name, value: nil)) }
        return nil
    }
}
