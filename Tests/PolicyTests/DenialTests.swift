import JSON
import Testing

@testable import Policy

@Suite struct `A rule's denials` {
    private func rules(_ responses: [DenialKind: DenialResponse]) throws -> PolicyRules {
        try policy {
            $0.limits = [try limited("user"), try limited("burst", to: 10)]
            $0.conditions = [try ClaimCondition(ClaimPath("role"), .equals("admin"), reason: ConditionReason("not-an-admin"))]
            $0.denials = Denials(responses)
        }
    }
    private let admin = AuthenticationOutcome.token(["sub": "ada", "role": "admin"])

    @Test func `may be problem details`() throws {
        let rules = try rules([.unauthorized: DenialResponse(.unauthorized, body: .problem), .limited: DenialResponse(.limited, body: .problem)])
        let missing = try #require(rules.decide(Request(), as: nil).denial)
        #expect(text(missing.contentType) == "application/problem+json")
        #expect(missing.bodyText == #"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"No token provided. Include Authorization: Bearer <token> in your request."}"#)
        #expect(text(missing.challenge) == #"Bearer realm="gatehouse""#)
        let over = try #require(rules.decide(as: admin, counts: ["user": 100, "burst": 10]).denial)
        #expect(over.status == 429)
        #expect(over.bodyText == #"{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Request cannot be satisfied as assigned quota has been exceeded","status":429,"detail":"Rate limit exceeded. You are allowed 10 requests per minute.","violated-policies":["user","burst"]}"#)
        #expect(try #require(over.retryAfterSeconds) > 30)
        #expect(rules.decide().denial?.bodyText.contains("\"error\":\"Forbidden\"") == true, "the usual one for the kinds that are left out")
    }

    @Test func `may say something of the request, the claims and themselves`() throws {
        let body = #"{"path":"${request.path}","user":"${claim.sub:-nobody}","reason":"${denial.reason}"}"#
        let headers = [try sets("x-denied", "${request.method} ${denial.reason}", isDenial: true), try sets("x-tenant", "${header.x-tenant}")]
        let rules = try rules([
            .forbidden: DenialResponse(.forbidden, status: 404, body: .custom(contentType: "application/json", text: body), headers: headers)
        ])
        let request = Request(target: #"/a"b"#, headers: [("X-Tenant", "blue")])
        let denial = try #require(rules.decide(request).denial)
        #expect(denial.status == 404)
        #expect(denial.bodyText == #"{"path":"/a\"b","user":"ada","reason":"not-an-admin"}"#)
        #expect(denial.headers.map { "\(text($0.name) ?? ""): \($0.text ?? "")" } == ["x-denied: GET not-an-admin", "x-tenant: blue"])
        #expect(rules.wantedHeaders == ["authorization", "x-tenant"])
    }

    @Test func `carry the rule's headers of the response as well`() throws {
        let rules = try policy { $0.responseHeaders = [try sets("x-rule", "one"), try sets("x-path", "${request.path}")] }
        for decision in [rules.decide(Request(target: "/p"), as: nil), rules.decide(Request(target: "/p"))] {
            #expect(decision.responseHeader("x-rule")?.text == "one")
            #expect(decision.responseHeader("x-path")?.text == "/p")
        }
    }

    @Test func `of requests that no rule matches may be the operator's own`() throws {
        let denials = Denials([.forbidden: try DenialResponse(.forbidden, body: .custom(contentType: "text/plain", text: "no ${header.x-tenant}"))])
        let rules = try PolicyRules([], denials: denials)
        #expect(rules.decide(Request(headers: [("X-Tenant", "blue")])).denial?.bodyText == "no blue")
        #expect(rules.wantedHeaders.contains("x-tenant"))
    }
}

@Suite struct `A header that can't be had` {
    private let request = Request(target: "/a\tb", headers: [("Authorization", "Bearer good")], clientAddress: "192.0.2.7")

    @Test func `of a request denies, and only what was counted before authentication stays charged`() throws {
        let rules = try policy {
            $0.limitsBeforeAuthentication = [try limited("address", by: [.clientAddress])]
            $0.limits = [try limited("user")]
            $0.requestHeaders = [try sets("x-path", "${request.path}")]
        }
        let decision = rules.decide(request)
        #expect(decision.reasonString == "header-unfit")
        #expect(decision.denial?.status == 400)
        #expect(decision.givenBack == ["user"])
        #expect(rules.decide().requestHeader("x-path")?.text == "/")
    }

    @Test func `by its claims refuses the token`() throws {
        let rules = try policy { $0.requestHeaders = [try sets("x-name", "${claim.name}")] }
        #expect(rules.decide(as: .token(["sub": "ada", "name": "a\nb"])).reason == .tokenClaimsUnfit)
        #expect(try #require(rules.decide().requestHeader("x-name")).value == nil, "without the claim there is no such header")
    }

    @Test func `of a response is left out`() throws {
        let rules = try policy { $0.responseHeaders = [try sets("x-path", "${request.path}"), try sets("x-name", "${claim.name}")] }
        let decision = rules.decide(request, as: .token(["sub": "ada", "name": "a\nb"]))
        #expect(decision.isAllowed)
        #expect(decision.responseHeader("x-path") == nil)
        #expect(decision.responseHeader("x-name") == nil)
    }
}
