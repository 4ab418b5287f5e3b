/// The rules that requests are judged by. A class, so that the many evaluations under way share one.
public final class PolicyRules: Sendable {
    public let rules: [Rule]
    public let credentials: CredentialRules
    /// How many credentials from one address may be refused; nil: any number.
    public let failureLimit: Limit?
    /// Whether tokens may be revoked.
    public let checksRevocation: Bool
    /// How clients are told of their limits.
    public let limitFields: LimitFields
    private let index: RuleIndex
    /// For requests that no rule matches.
    let denials: Denials

    /// - Parameter rules: of which the most specific one that matches a request counts.
    /// - Throws: where two are equally specific, or one has more limits than ``RuleLimits/limitsPerRule``.
    public init(
        _ rules: [(name: String, matcher: RequestMatcher, options: Rule.Options)], credentials: CredentialRules = CredentialRules(),
        failureLimit: Limit? = nil, checksRevocation: Bool = false, limitFields: LimitFields = LimitFields(), denials: Denials = .usual
    ) throws(RuleMistake) {
        for (name, _, options) in rules {
            let count = max(options.limits.count, options.limitsBeforeAuthentication.count)
            guard count <= RuleLimits.limitsPerRule else {
                throw RuleMistake("the rule \(quoted(name)) has \(count) limits; accepted are at most \(RuleLimits.limitsPerRule)")
            }
        }
        index = try RuleIndex(rules.map { ($0.name, $0.matcher) })
        self.rules = rules.enumerated().map { index, rule in
            Rule(rule.name, index: index, rule.matcher, rule.options, credentialHeaders: credentials.credentialHeaders)
        }
        self.credentials = credentials
        self.failureLimit = failureLimit
        self.checksRevocation = checksRevocation
        self.limitFields = limitFields
        self.denials = denials
    }

    /// One rule for all requests: a token, and so many requests in so long for each user.
    public static func usual(limit count: Int = 100, windowSeconds: Int = 60) throws(InvalidQuota) -> PolicyRules {
        var options = Rule.Options()
        options.limits = [try Limit(ofUser: count, windowSeconds: windowSeconds)]
        do throws(RuleMistake) {
            return try PolicyRules([("default", RequestMatcher(), options)])
        } catch {
            preconditionFailure("one rule conflicts with none")
        }
    }

    /// No rule, and so nothing that is let through.
    public static let nothing: PolicyRules = {
        do throws(RuleMistake) { return try PolicyRules([]) } catch { preconditionFailure("no rules conflict") }
    }()

    /// The limits of all rules.
    public var allLimits: [Limit] {
        rules.flatMap { $0.options.limitsBeforeAuthentication + $0.options.limits } + (failureLimit.map { [$0] } ?? [])
    }

    func rule(for request: borrowing RequestView, method: Span<UInt8>) -> Rule? {
        index.rule(authority: request.authority, method: method, path: request.path).map { rules[$0] }
    }

    /// The denial of a request whose description could not be read.
    public var checkMalformed: Decision { denied(.checkMalformed) }

    /// The denial where the daemon itself went wrong.
    public var internalFailure: Decision { denied(.internalFailure) }

    /// The denial in place of a verdict that doesn't fit into what the asker accepts.
    public var verdictTooLarge: Decision { denied(.verdictTooLarge) }

    private func denied(_ reason: Reason) -> Decision {
        Decision(reason, denial: Denials.usual.denial(reason, nil, RequestView.none()), limitFields: limitFields)
    }
}

/// Which headers tell a client of its limits.
public struct LimitFields: Sendable {
    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset`, of the limit that is closest to exhaustion.
    public var sendsXRateLimit = true
    /// `RateLimit-Policy` and `RateLimit`, of all limits (draft-ietf-httpapi-ratelimit-headers-10).
    public var sendsRateLimit = true

    public init() {}
}

extension PolicyRules {
    /// The request's headers that are needed to judge it, in lower case, each once.
    public var wantedHeaders: [String] {
        var names = credentials.wantedHeaders
        for rule in rules {
            let options = rule.options
            var wanted = options.limits.flatMap(\.key.headerNames) + options.limitsBeforeAuthentication.flatMap(\.key.headerNames)
            if options.allowsPreflight { wanted += CORSPreflight.headerNames }
            for operation in options.requestHeaders + options.responseHeaders { wanted += operation.headerNames }
            wanted += options.denials.headerNames
            for name in wanted.map({ String(decoding: $0, as: UTF8.self) }) where !names.contains(name) { names.append(name) }
        }
        for name in ((failureLimit?.key.headerNames ?? []) + denials.headerNames).map({ String(decoding: $0, as: UTF8.self) }) where !names.contains(name) {
            names.append(name)
        }
        return names
    }

    /// How many headers the verdict on a request of this rule changes at the most, on the request and the answer together.
    public func mostHeaderChanges(of rule: Rule) -> Int {
        let options = rule.options
        let always = options.responseHeaders.count + (limitFields.sendsXRateLimit ? 3 : 0) + (limitFields.sendsRateLimit ? 2 : 0)
        let ofRequest = options.identityHeaders.count + options.requestHeaders.count + rule.credentialHeaders.count + 1
        // A denial has Content-Type, WWW-Authenticate and Retry-After.
        return always + max(ofRequest, options.denials.mostHeaders + 3)
    }

    /// The headers by which upstreams are told who asks: no client may bring them.
    public var ownedHeaders: [String] {
        var names: [String] = []
        for rule in rules {
            for header in rule.options.identityHeaders where !names.contains(header.name.description) { names.append(header.name.description) }
            for operation in rule.options.requestHeaders {
                if case .set = operation.change, !names.contains(operation.name.description) { names.append(operation.name.description) }
            }
        }
        return names
    }
}
