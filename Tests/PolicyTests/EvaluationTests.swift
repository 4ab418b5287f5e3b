import JSON
import Testing

@testable import Policy

/// 2024-11-19T11:59:30Z: half of its minute has passed, which ends at 12:00:00.
private let now: Int64 = 1_732_017_570_000
private let minute: Int64 = 28_866_959

private func principal(_ userID: String = "usr_9f3k2m") throws -> Principal {
    try #require(Principal(claims: JSONObject([("userId", .string(userID))])))
}

private func decision(
    _ rules: PolicyRules = PolicyRules(), _ credentials: Credentials = .bearer(7..<20), token: TokenOutcome? = nil,
    hit: HitOutcome? = nil
) throws -> Decision {
    var evaluation = Evaluation(rules, nowUnixMilliseconds: now)
    var action = evaluation.start(credentials)
    if case .verify = action { action = evaluation.verified(try #require(token)) }
    if case .count = action { action = evaluation.counted(try #require(hit)) }
    guard case .decided(let decision) = action else {
        Issue.record("no decision")
        throw CancellationError()
    }
    return decision
}

private func counted(_ current: Int, previous: Int = 0, isFallback: Bool = false) -> HitOutcome {
    .counted(WindowCounts(current: current, previous: previous), CountedHit(window: minute, isFallback: isFallback))
}

private func text(_ bytes: [UInt8]?) -> String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

@Suite struct `An evaluation asks for one thing at a time` {
    @Test func `first for the token, then for the count, then it decides`() throws {
        var evaluation = Evaluation(PolicyRules(), nowUnixMilliseconds: now)
        guard case .verify(7..<20) = evaluation.start(.bearer(7..<20)) else { return #expect(Bool(false)) }
        let user = try principal()
        guard case .count(let counting) = evaluation.verified(.verified(user)) else { return #expect(Bool(false)) }
        #expect(counting === user)
        guard case .decided(let decision) = evaluation.counted(counted(1)) else { return #expect(Bool(false)) }
        #expect(decision.reason == .allowed)
        #expect(decision.denial == nil)
        #expect(decision.principal === user)
    }

    @Test func `a request without a token is neither verified nor counted`() throws {
        var evaluation = Evaluation(PolicyRules(), nowUnixMilliseconds: now)
        guard case .decided(let decision) = evaluation.start(.none) else { return #expect(Bool(false)) }
        #expect(decision.reason == .tokenMissing)
        #expect(decision.limit == nil)
        #expect(decision.hitToGiveBack == nil)
    }

    @Test(arguments: [
        Reason.tokenMalformed, .tokenSignatureInvalid, .tokenAlgorithmNotAllowed, .tokenExtensionUnknown,
        .tokenNotYetValid, .tokenExpired, .tokenClaimsUnfit,
    ])
    func `a request with a refused token is never counted`(reason: Reason) throws {
        var evaluation = Evaluation(PolicyRules(), nowUnixMilliseconds: now)
        _ = evaluation.start(.bearer(7..<20))
        guard case .decided(let decision) = evaluation.verified(.refused(reason)) else { return #expect(Bool(false)) }
        #expect(decision.reason == reason)
        #expect(decision.limit == nil)
        #expect(decision.hitToGiveBack == nil)
        #expect(decision.denial?.status == 401)
    }

    @Test func `an answer that was not asked for denies`() throws {
        let user = try principal()
        var early = Evaluation(PolicyRules(), nowUnixMilliseconds: now)
        guard case .decided(let first) = early.counted(counted(1)) else { return #expect(Bool(false)) }
        #expect(first.denial?.status == 500)
        var twice = Evaluation(PolicyRules(), nowUnixMilliseconds: now)
        _ = twice.start(.none)
        guard case .decided(let second) = twice.verified(.verified(user)) else { return #expect(Bool(false)) }
        #expect(second.reason == .internalFailure)
        guard case .decided(let third) = twice.start(.bearer(0..<1)) else { return #expect(Bool(false)) }
        #expect(third.denial?.status == 500)
    }
}

@Suite struct `Authentication answers with exact bytes` {
    @Test func `no token`() throws {
        let denial = try #require(try decision(PolicyRules(), .none).denial)
        #expect(denial.status == 401)
        #expect(
            text(denial.body)
                == #"{"error":"Unauthorized","message":"No token provided. Include Authorization: Bearer <token> in your request."}"#)
        #expect(text(denial.challenge) == #"Bearer realm="gatehouse""#, "RFC 6750 §3.1: no error code without credentials")
    }

    @Test(arguments: [
        Reason.tokenMalformed, .tokenSignatureInvalid, .tokenAlgorithmNotAllowed, .tokenExtensionUnknown,
        .tokenNotYetValid, .tokenClaimsUnfit,
    ])
    func `an invalid token`(reason: Reason) throws {
        let denial = try #require(try decision(token: .refused(reason)).denial)
        #expect(denial.status == 401)
        #expect(text(denial.body) == #"{"error":"Unauthorized","message":"Invalid token. Authentication failed."}"#)
        #expect(
            text(denial.challenge)
                == #"Bearer realm="gatehouse", error="invalid_token", error_description="Invalid token. Authentication failed.""#)
    }

    @Test func `an expired token`() throws {
        let denial = try #require(try decision(token: .refused(.tokenExpired)).denial)
        #expect(denial.status == 401)
        #expect(text(denial.body) == #"{"error":"Unauthorized","message":"Token has expired. Please re-authenticate."}"#)
        #expect(
            text(denial.challenge)
                == #"Bearer realm="gatehouse", error="invalid_token", error_description="Token has expired. Please re-authenticate.""#)
    }

    @Test func `two Authorization fields`() throws {
        let decision = try decision(PolicyRules(), .repeated)
        let denial = try #require(decision.denial)
        #expect(decision.reason == .authorizationRepeated)
        #expect(denial.status == 400)
        #expect(
            text(denial.body) == #"{"error":"Bad Request","message":"More than one Authorization field. Send exactly one."}"#)
        #expect(text(denial.challenge)?.contains(#"error="invalid_request""#) == true)
    }
}

@Suite struct `The limit` {
    @Test func `lets the last request in and says that none is left`() throws {
        let decision = try decision(token: .verified(try principal()), hit: counted(100))
        #expect(decision.denial == nil)
        #expect(decision.hitToGiveBack == nil)
        #expect(decision.limit?.limit == 100)
        #expect(decision.limit?.remaining == 0)
        #expect(decision.limit?.resetUnixSeconds == 1_732_017_600)
    }

    @Test func `refuses the next one with the exact body, and has it given back`() throws {
        let decision = try decision(token: .verified(try principal()), hit: counted(101))
        let denial = try #require(decision.denial)
        #expect(decision.reason == .limitExceeded)
        #expect(denial.status == 429)
        #expect(
            text(denial.body)
                == #"{"error":"Too Many Requests","message":"Rate limit exceeded. You are allowed 100 requests per minute.","resetAt":"2024-11-19T12:00:00.000Z"}"#)
        #expect(denial.challenge == nil)
        #expect(denial.retryAfterSeconds == decision.limit?.retryAfterSeconds)
        #expect(try #require(denial.retryAfterSeconds) >= 1)
        #expect(decision.limit?.remaining == 0)
        #expect(decision.hitToGiveBack == CountedHit(window: minute, isFallback: false))
    }

    @Test(arguments: [
        (100, 60, "100 requests per minute."), (5, 10, "5 requests per 10 seconds."), (7, 3600, "7 requests per 3600 seconds."),
        (2, 1, "2 requests per second."),
    ])
    func `is named in the message`(limit: Int, windowSeconds: Int, expected: String) throws {
        let rules = PolicyRules(limit: limit, windowSeconds: windowSeconds)
        let decision = try decision(rules, token: .verified(try principal()), hit: counted(limit + 1))
        #expect(text(decision.denial?.body)?.contains("You are allowed \(expected)\"") == true)
    }

    @Test func `counted by this process alone says so, allowed or not`() throws {
        let user = try principal()
        let allowed = try decision(token: .verified(user), hit: counted(1, isFallback: true))
        #expect(allowed.reason == .allowedCountedLocally)
        #expect(allowed.limit?.remaining == 99)
        let denied = try decision(token: .verified(user), hit: counted(101, isFallback: true))
        #expect(denied.reason == .limitExceededCountedLocally)
        #expect(denied.hitToGiveBack == CountedHit(window: minute, isFallback: true))
    }

    @Test func `that cannot be counted denies with 503, or allows, as the operator chose`() throws {
        let user = try principal()
        let denied = try decision(token: .verified(user), hit: .uncounted(isAllowed: false))
        #expect(denied.reason == .storeUnavailable)
        #expect(denied.denial?.status == 503)
        #expect(denied.denial?.retryAfterSeconds == 1)
        #expect(text(denied.denial?.body)?.hasPrefix(#"{"error":"Service Unavailable","message":""#) == true)
        #expect(denied.hitToGiveBack == nil)
        let allowed = try decision(token: .verified(user), hit: .uncounted(isAllowed: true))
        #expect(allowed.reason == .allowedUncounted)
        #expect(allowed.denial == nil)
        #expect(allowed.limit == nil)
    }
}

@Test func `reasons are lower-case words with hyphens, each its own`() {
    let texts = Reason.allCases.map { text($0.bytes) ?? "" }
    #expect(Set(texts).count == texts.count)
    for text in texts {
        #expect(text.utf8.count <= 64)
        #expect(text.utf8.allSatisfy { $0 == UInt8(ascii: "-") || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) })
    }
    #expect(text(Reason.tokenExpired.bytes) == "token-expired")
}

@Test(arguments: [
    (0, "1970-01-01T00:00:00.000Z"), (951_782_400, "2000-02-29T00:00:00.000Z"), (951_868_799, "2000-02-29T23:59:59.000Z"),
    (1_732_017_600, "2024-11-19T12:00:00.000Z"), (1_735_689_599, "2024-12-31T23:59:59.000Z"),
    (4_107_542_400, "2100-03-01T00:00:00.000Z"), (253_402_300_799, "9999-12-31T23:59:59.000Z"),
    (Int64.max, "9999-12-31T23:59:59.000Z"), (-1, "1970-01-01T00:00:00.000Z"),
])
func `moments are written as ISO 8601 with milliseconds`(seconds: Int64, expected: String) {
    var bytes: [UInt8] = []
    appendTimestamp(unixSeconds: seconds, to: &bytes)
    #expect(text(bytes) == expected)
}

/// The README's example, to the letter.
@Test func `the example in the README ends in a 429`() {
    let rules = PolicyRules(limit: 2)
    let user = Principal(claims: JSONObject([("userId", .string("usr_1"))]))!
    var evaluation = Evaluation(rules, nowUnixMilliseconds: 1_732_017_600_000)
    _ = evaluation.start(.bearer(0..<3))
    _ = evaluation.verified(.verified(user))
    let hit = CountedHit(window: 28_866_960, isFallback: false)
    let last = evaluation.counted(.counted(WindowCounts(current: 3, previous: 0), hit))
    guard case .decided(let decision) = last else { return #expect(Bool(false), "not decided") }
    #expect(decision.reason == .limitExceeded)
    #expect(decision.denial?.status == 429)
}
