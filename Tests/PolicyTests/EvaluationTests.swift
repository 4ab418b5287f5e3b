import JSON
import Testing

@testable import Policy

private let refusals: [Reason] = [
    .tokenMalformed, .tokenAlgorithmNotAllowed, .tokenExtensionUnknown, .tokenSignatureInvalid, .tokenKeyUnknown, .tokenIssuerUnknown,
    .tokenTypeWrong, .tokenAudienceWrong, .tokenNotYetValid, .tokenClaimMissing, .tokenClaimsUnfit,
]

@Suite struct `An evaluation asks for one thing at a time` {
    @Test func `first for the token, then for the count, then it decides`() throws {
        var evaluation = Evaluation(try .usual(), nowUnixMilliseconds: halfPast)
        guard case .authenticate(let credential) = evaluation.start(bearer) else { return #expect(Bool(false)) }
        #expect(credential.kind == .token)
        #expect(text(Array(bearer.bytes[credential.range])) == "good")
        let ada = KnownIdentity(try #require(Identity(claims: ["userId": "ada"])))
        guard case .count(let counting) = evaluation.authenticated(.verified(ada)) else { return #expect(Bool(false)) }
        #expect(counting.hits.map { text($0.key) } == ["ratelimit:ada:"])
        #expect(counting.hits.map(\.cost) == [1])
        #expect(counting.revocationOf == nil)
        let status = counting.hits[0].quota.judge(.first(counting.hits[0].quota, cost: 1), cost: 1, nowUnixMilliseconds: halfPast)
        let receipt = HitReceipt(.window(28_866_959), unixMilliseconds: halfPast)
        guard case .decided(let decision) = evaluation.counted([.counted(status, receipt)]) else { return #expect(Bool(false)) }
        #expect(decision.reason == .allowed)
        #expect(decision.denial == nil)
        #expect(decision.known === ada)
        #expect(decision.closest?.status == status)
        #expect(decision.givenBack == [])
    }

    @Test func `a request without a token is neither verified nor counted`() throws {
        var evaluation = Evaluation(try .usual(), nowUnixMilliseconds: halfPast)
        guard case .decided(let decision) = evaluation.start(Request()) else { return #expect(Bool(false)) }
        #expect(decision.reason == .tokenMissing)
        #expect(decision.standings.isEmpty)
    }

    @Test(arguments: refusals)
    func `a request with a refused token is never counted`(reason: Reason) throws {
        let decision = try PolicyRules.usual().decide(as: .refused(reason))
        #expect(decision.reason == reason)
        #expect(decision.standings.isEmpty)
        #expect(decision.denial?.status == 401)
    }

    @Test func `a request without a rule is denied before anything is asked`() {
        let decision = PolicyRules.nothing.decide()
        #expect(decision.reason == .ruleMissing)
        #expect(decision.denial?.status == 403)
        #expect(decision.denial?.bodyText == #"{"error":"Forbidden","message":"No rule admits this request."}"#)
        #expect(decision.denial?.challenge == nil)
    }

    @Test func `the request is needed again only where something is said of it`() throws {
        func needsRequest(_ rules: PolicyRules, until stage: Int) throws -> Bool {
            var evaluation = Evaluation(rules, nowUnixMilliseconds: halfPast)
            var action = evaluation.start(bearer)
            for _ in 0..<stage {
                switch action {
                case .authenticate: action = evaluation.authenticated(.token(["sub": "ada"]))
                case .count(let counting): action = evaluation.counted(counting.hits.map { _ in .uncounted(isAllowed: true) })
                case .decided: Issue.record("decided early")
                }
            }
            guard case .count = action else { throw CancellationError() }
            return evaluation.needsRequestAgain
        }
        #expect(try !needsRequest(.usual(), until: 1))
        #expect(try needsRequest(policy { $0.limits = [try limited("a")]; $0.requestHeaders = [try sets("x-path", "${request.path}")] }, until: 1))
        #expect(try needsRequest(policy { $0.limits = [try limited("a")]; $0.responseHeaders = [try sets("x-path", "${request.path}")] }, until: 1))
        let denials = Denials([.limited: try DenialResponse(.limited, body: .custom(contentType: "text/plain", text: "${request.path}"))])
        #expect(try needsRequest(policy { $0.limits = [try limited("a")]; $0.denials = denials }, until: 1))
        #expect(try needsRequest(policy { $0.limitsBeforeAuthentication = [try limited("a", by: [.clientAddress])] }, until: 0))
        #expect(try needsRequest(policy(failureLimit: limited("f", by: [.clientAddress])), until: 0))
        #expect(try !needsRequest(policy(failureLimit: limited("f", by: [.clientAddress])) { $0.limits = [try limited("a")] }, until: 2))
    }
}

@Suite struct `Authentication answers with exact bytes` {
    @Test func `no token`() throws {
        let denial = try #require(try PolicyRules.usual().decide(Request(), as: nil).denial)
        #expect(denial.status == 401)
        #expect(text(denial.contentType) == "application/json")
        #expect(
            denial.bodyText
                == #"{"error":"Unauthorized","message":"No token provided. Include Authorization: Bearer <token> in your request."}"#)
        #expect(text(denial.challenge) == #"Bearer realm="gatehouse""#, "RFC 6750 §3.1: no error code without credentials")
        #expect(denial.retryAfterSeconds == nil)
    }

    @Test(arguments: refusals)
    func `an invalid token`(reason: Reason) throws {
        let denial = try #require(try PolicyRules.usual().decide(as: .refused(reason)).denial)
        #expect(denial.status == 401)
        #expect(denial.bodyText == #"{"error":"Unauthorized","message":"Invalid token. Authentication failed."}"#)
        #expect(
            text(denial.challenge)
                == #"Bearer realm="gatehouse", error="invalid_token", error_description="Invalid token. Authentication failed.""#)
    }

    @Test(arguments: [
        (Reason.tokenExpired, "Token has expired. Please re-authenticate."), (.tokenTooOld, "Token is too old. Please re-authenticate."),
        (.apiKeyUnknown, "Unknown API key. Authentication failed."),
    ])
    func `a token that was good, and an unknown key`(reason: Reason, message: String) throws {
        let denial = try #require(try PolicyRules.usual().decide(as: .refused(reason)).denial)
        #expect(denial.status == 401)
        #expect(denial.bodyText == #"{"error":"Unauthorized","message":"\#(message)"}"#)
        #expect(text(denial.challenge) == #"Bearer realm="gatehouse", error="invalid_token", error_description="\#(message)""#)
    }

    @Test func `two Authorization fields`() throws {
        let twice = Request(headers: [("Authorization", "Bearer a"), ("authorization", "Bearer a")])
        let decision = try PolicyRules.usual().decide(twice)
        let denial = try #require(decision.denial)
        #expect(decision.reason == .authorizationRepeated)
        #expect(denial.status == 400)
        #expect(denial.bodyText == #"{"error":"Bad Request","message":"More than one Authorization field. Send exactly one."}"#)
        #expect(
            text(denial.challenge)
                == #"Bearer realm="gatehouse", error="invalid_request", error_description="More than one Authorization field. Send exactly one.""#)
    }

    @Test func `keys that are not there`() throws {
        let decision = try PolicyRules.usual().decide(as: .keysUnavailable)
        #expect(decision.reasonString == "keys-unavailable")
        #expect(decision.denial?.status == 503)
        #expect(decision.denial?.retryAfterSeconds == 1)
        #expect(decision.denial?.challenge == nil)
        #expect(decision.denial?.bodyText == #"{"error":"Service Unavailable","message":"Tokens cannot be verified at the moment."}"#)
    }
}

@Suite struct `The usual limit` {
    @Test func `lets the last request in and says that none is left`() throws {
        let decision = try PolicyRules.usual().decide(counts: ["default": 99])
        #expect(decision.denial == nil)
        #expect(decision.givenBack == [])
        #expect(decision.closest?.status?.limit == 100)
        #expect(decision.closest?.status?.remaining == 0)
        #expect(decision.closest?.status?.resetUnixSeconds == 1_732_017_600)
    }

    @Test func `refuses the next one with the exact body`() throws {
        let decision = try PolicyRules.usual().decide(counts: ["default": 100])
        let denial = try #require(decision.denial)
        #expect(decision.reason == .limitExceeded)
        #expect(denial.status == 429)
        #expect(
            denial.bodyText
                == #"{"error":"Too Many Requests","message":"Rate limit exceeded. You are allowed 100 requests per minute.","resetAt":"2024-11-19T12:00:00.000Z"}"#)
        #expect(denial.challenge == nil)
        #expect(denial.retryAfterSeconds == decision.closest?.status?.retryAfterSeconds)
        #expect(try #require(denial.retryAfterSeconds) == 31)
        #expect(decision.closest?.status?.remaining == 0)
        #expect(decision.givenBack == [], "whoever counted a hit that its own limit refuses gives it back at once")
    }

    @Test(arguments: [
        (100, 60, "100 requests per minute."), (5, 10, "5 requests per 10 seconds."), (7, 3600, "7 requests per 3600 seconds."),
        (2, 1, "2 requests per second."),
    ])
    func `is named in the message`(limit: Int, windowSeconds: Int, expected: String) throws {
        let rules = try PolicyRules.usual(limit: limit, windowSeconds: windowSeconds)
        let decision = rules.decide(counts: ["default": .counted(limit)])
        #expect(decision.denial?.bodyText.contains("You are allowed \(expected)\"") == true)
    }

    @Test func `counted by this process alone says so, allowed or not`() throws {
        let allowed = try PolicyRules.usual().decide(counts: ["default": .counted(0, isFallback: true)])
        #expect(allowed.reasonString == "allowed-counted-locally")
        #expect(allowed.closest?.status?.remaining == 99)
        let denied = try PolicyRules.usual().decide(counts: ["default": .counted(100, isFallback: true)])
        #expect(denied.reasonString == "limit-exceeded-counted-locally")
        #expect(denied.denial?.status == 429)
    }

    @Test func `that cannot be counted denies with 503, or allows, as the operator chose`() throws {
        let denied = try PolicyRules.usual().decide(counts: ["default": .unavailable(isAllowed: false)])
        #expect(denied.reason == .storeUnavailable)
        #expect(denied.denial?.status == 503)
        #expect(denied.denial?.retryAfterSeconds == 1)
        #expect(denied.denial?.bodyText.hasPrefix(#"{"error":"Service Unavailable","message":""#) == true)
        #expect(denied.givenBack == [])
        let allowed = try PolicyRules.usual().decide(counts: ["default": .unavailable(isAllowed: true)])
        #expect(allowed.reason == .allowedUncounted)
        #expect(allowed.denial == nil)
        #expect(allowed.closest == nil)
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
