import JSON

@testable import Policy

/// 2024-11-19T11:59:30Z: half of its minute has passed, which ends at 12:00:00.
let halfPast: Int64 = 1_732_017_570_000

/// A request with a token.
let bearer = Request(headers: [("Authorization", "Bearer good")], clientAddress: "192.0.2.7")

/// One rule for all requests, which has no limit.
func policy(
    credentials: CredentialRules = CredentialRules(), failureLimit: Limit? = nil, checksRevocation: Bool = false,
    _ change: (inout Rule.Options) throws -> Void = { _ in }
) throws -> PolicyRules {
    var options = Rule.Options()
    try change(&options)
    return try PolicyRules(
        [("one", RequestMatcher(), options)], credentials: credentials, failureLimit: failureLimit, checksRevocation: checksRevocation)
}

func limited(
    _ name: String, to count: Int = 100, by parts: [LimitKey.Part] = [.subject], _ algorithm: LimitAlgorithm = .slidingWindow,
    isShadow: Bool = false, plans: (claim: ClaimPath, allowances: [String: Allowance.Kind])? = nil,
    overrides: [String: Allowance.Kind] = [:]
) throws -> Limit {
    Limit(
        try LimitKey(name: name, parts: parts, rule: "one"), quota: try Quota(algorithm, count: count, windowSeconds: 60),
        isShadow: isShadow, plans: plans, overrides: overrides)
}

func sets(_ name: String, _ template: String, isDenial: Bool = false) throws -> HeaderOperation {
    HeaderOperation(try HeaderName(name), .set(try Template(header: template, isDenial: isDenial)))
}

func text(_ bytes: [UInt8]?) -> String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

extension PolicyRules {
    /// Judges a request of the user `ada` in the middle of a minute.
    func decide(
        _ request: Request = bearer, as credential: AuthenticationOutcome? = .token(["sub": "ada"]),
        counts: [String: CountsBefore] = [:], revocation: RevocationStatus = .valid, trace: Trace? = nil
    ) -> Decision {
        decide(request, as: credential, counts: counts, revocation: revocation, nowUnixMilliseconds: halfPast, trace: trace)
    }
}

extension Decision {
    var reasonString: String { String(decoding: reasonText, as: UTF8.self) }

    /// The names of the limits whose hits are given back.
    var givenBack: [String] { standings.filter { $0.toGiveBack != nil }.map(\.hit.limit.name) }
}

extension Evaluation {
    mutating func start(_ request: Request) -> Action { start(request.view) }

    mutating func authenticated(_ outcome: AuthenticationOutcome, _ request: Request = bearer) -> Action {
        authenticated(outcome, request.view)
    }

    mutating func counted(_ outcomes: [HitOutcome], revocation: RevocationStatus? = nil, _ request: Request = bearer) -> Action {
        for (index, outcome) in outcomes.enumerated() { note(outcome, at: index) }
        return counted(revocation: revocation, request.view)
    }
}
