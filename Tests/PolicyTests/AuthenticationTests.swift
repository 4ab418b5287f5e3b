import JSON
import Testing

@testable import Policy

@Suite struct `A rule's authentication` {
    @Test func `required takes nobody`() throws {
        #expect(try policy().decide(Request(), as: nil).reason == .tokenMissing)
        #expect(try policy().decide().isAllowed)
    }

    @Test func `optional takes nobody, but no credential that is no good`() throws {
        let rules = try policy { $0.authentication = .optional }
        let nobody = rules.decide(Request(), as: nil)
        #expect(nobody.isAllowed)
        #expect(nobody.known?.identity.kind == .anonymous)
        for name in ["x-user-id", "x-user-email", "x-user-role", "authorization"] {
            #expect(try #require(nobody.requestHeader(name)).value == nil)
        }
        #expect(rules.decide(as: .refused(.tokenExpired)).reason == .tokenExpired)
        #expect(rules.decide(as: .keysUnavailable).reason == .keysUnavailable)
        #expect(rules.decide().requestHeader("x-user-id")?.text == "ada")
        let twice = Request(headers: [("Authorization", "Bearer a"), ("Authorization", "Bearer b")])
        #expect(rules.decide(twice).reason == .authorizationRepeated)
    }

    @Test func `none looks at no credential`() throws {
        let rules = try policy { $0.authentication = .none }
        let decision = rules.decide(as: .refused(.tokenExpired))
        #expect(decision.isAllowed)
        #expect(try #require(decision.requestHeader("x-user-id")).value == nil)
    }

    @Test func `takes tokens of its issuers only`() throws {
        let rules = try policy { $0.issuers = [1] }
        #expect(rules.decide(as: .token(["sub": "ada"], issuer: 1)).isAllowed)
        let other = rules.decide(as: .token(["sub": "ada"], issuer: 0))
        #expect(other.reasonString == "token-issuer-not-accepted")
        #expect(other.denial?.status == 401)
        #expect(try policy { $0.issuers = [] }.decide().reason == .tokenIssuerNotAccepted)
    }

    @Test func `takes API keys where it accepts them`() throws {
        let credentials = CredentialRules(apiKeys: [.header(name: "x-api-key", scheme: nil)])
        let request = Request(headers: [("X-API-Key", "secret")])
        let robot = AuthenticationOutcome.apiKey("robot", attributes: ["role": "job"])
        let decision = try policy(credentials: credentials).decide(request, as: robot)
        #expect(decision.requestHeader("x-user-id")?.text == "robot")
        #expect(decision.requestHeader("x-user-role")?.text == "job")
        #expect(try policy(credentials: credentials) { $0.acceptsAPIKeys = false }.decide(request, as: robot).reason == .tokenIssuerNotAccepted)
    }

    @Test func `takes nobody for a credential that holds`() throws {
        #expect(try policy().decide(as: .verified(KnownIdentity(.anonymous))).reason == .tokenIssuerNotAccepted)
    }
}

@Suite struct `A rule's conditions` {
    private func rules() throws -> PolicyRules {
        try policy {
            $0.authentication = .optional
            $0.conditions = [
                try ClaimCondition(ClaimPath("role"), .anyOf(["admin", "owner"]), reason: ConditionReason("not-an-admin")),
                try ClaimCondition(ClaimPath("scope"), .containsScope([Scope("write")])),
            ]
            $0.limits = [try limited("a")]
        }
    }

    @Test func `deny with the reason of the one that fails, before anything is counted`() throws {
        let decision = try rules().decide(as: .token(["sub": "ada", "role": "guest"]))
        #expect(decision.reason == .conditionFailed)
        #expect(decision.reasonString == "not-an-admin")
        #expect(decision.denial?.status == 403)
        #expect(decision.denial?.bodyText == #"{"error":"Forbidden","message":"You are not allowed to do this."}"#)
        #expect(text(decision.denial?.challenge)?.contains(#"error="insufficient_scope""#) == true)
        #expect(decision.standings.isEmpty)
    }

    @Test func `are checked in their turn, and of nobody as well`() throws {
        #expect(try rules().decide(as: .token(["sub": "ada", "role": "owner", "scope": "read"])).reasonString == "condition-failed")
        #expect(try rules().decide(as: .token(["sub": "ada", "role": "owner", "scope": "read write"])).isAllowed)
        #expect(try rules().decide(Request(), as: nil).reasonString == "not-an-admin")
    }
}

@Suite struct `A preflight` {
    private func rules() throws -> PolicyRules {
        var open = Rule.Options()
        open.allowsPreflight = true
        open.conditions = [try ClaimCondition(ClaimPath("role"), .equals("admin"))]
        open.limitsBeforeAuthentication = [try limited("by-address", by: [.clientAddress])]
        open.responseHeaders = [try sets("access-control-max-age", "600")]
        return try PolicyRules([
            ("change", RequestMatcher(methods: MethodSet(["PUT"])), open), ("rest", RequestMatcher(), Rule.Options()),
        ])
    }

    private func preflight(_ method: String, origins: Int = 1) -> Request {
        Request(
            method: "OPTIONS",
            headers: Array(repeating: ("Origin", "https://app.example.com"), count: origins)
                + [("Access-Control-Request-Method", method), ("X-User-Id", "root")], clientAddress: "192.0.2.7")
    }

    @Test func `is let through by the rule of the method that it asks about`() throws {
        let decision = try rules().decide(preflight("PUT"), as: nil)
        #expect(decision.reasonString == "allowed-preflight")
        #expect(decision.rule?.name == "change")
        #expect(decision.standings.map(\.hit.limit.name) == ["by-address"])
        #expect(try rules().decide(preflight("GET"), as: nil).reason == .tokenMissing)
    }

    @Test func `brings nobody's identity, and gets the rule's headers`() throws {
        let decision = try rules().decide(preflight("PUT"), as: nil)
        #expect(try #require(decision.requestHeader("x-user-id")).value == nil)
        #expect(decision.responseHeader("access-control-max-age")?.text == "600")
    }

    @Test func `takes no credential of its target to the upstream`() throws {
        let rules = try policy(credentials: CredentialRules(tokens: [.query(name: "access_token")])) { $0.allowsPreflight = true }
        let request = Request(
            method: "OPTIONS", target: "/?access_token=t&a=b",
            headers: [("Origin", "https://app.example.com"), ("Access-Control-Request-Method", "PUT")])
        #expect(text(rules.decide(request, as: nil).changes.query) == "a=b")
    }

    @Test func `is none without its two headers, or with one twice`() throws {
        #expect(try rules().decide(preflight("PUT", origins: 0), as: nil).reason == .tokenMissing)
        #expect(try rules().decide(preflight("PUT", origins: 2), as: nil).reason == .tokenMissing)
        let get = Request(headers: [("Origin", "a"), ("Access-Control-Request-Method", "PUT")])
        #expect(try rules().decide(get, as: nil).reason == .tokenMissing)
    }

    @Test func `is limited`() throws {
        #expect(try rules().decide(preflight("PUT"), as: nil, counts: ["by-address": 100]).denial?.status == 429)
    }
}

@Suite struct `Revocation` {
    private let claims: JSONObject = ["sub": "ada", "jti": "t1", "iat": 1000]

    @Test func `is asked for tokens only, and where the rules check it`() throws {
        func asks(_ checks: Bool, _ outcome: AuthenticationOutcome) throws -> Bool {
            var evaluation = Evaluation(try policy(checksRevocation: checks), nowUnixMilliseconds: halfPast)
            _ = evaluation.start(bearer)
            guard case .count(let counting) = evaluation.authenticated(outcome) else { return false }
            return counting.revocationOf != nil
        }
        #expect(try asks(true, .token(claims)))
        #expect(try !asks(false, .token(claims)))
        #expect(try !asks(true, .apiKey("robot")))
    }

    @Test func `of a token denies, and nothing but the limits before authentication stays charged`() throws {
        let rules = try policy(checksRevocation: true) {
            $0.limitsBeforeAuthentication = [try limited("by-address", by: [.clientAddress])]
            $0.limits = [try limited("a")]
        }
        #expect(rules.decide().isAllowed)
        let revoked = rules.decide(revocation: .revoked)
        #expect(revoked.reasonString == "token-revoked")
        #expect(revoked.denial?.status == 401)
        #expect(revoked.denial?.bodyText == #"{"error":"Unauthorized","message":"Token has been revoked. Please re-authenticate."}"#)
        #expect(revoked.givenBack == ["a"])
        #expect(rules.decide(counts: ["a": 100], revocation: .revoked).reason == .tokenRevoked)
        let unknown = rules.decide(revocation: .unavailable)
        #expect(unknown.reasonString == "revocation-unavailable")
        #expect(unknown.denial?.status == 503)
        #expect(unknown.givenBack == ["by-address", "a"])
    }

    @Test func `that was asked for and is not answered denies`() throws {
        var evaluation = Evaluation(try policy(checksRevocation: true), nowUnixMilliseconds: halfPast)
        _ = evaluation.start(bearer)
        _ = evaluation.authenticated(.token(claims))
        guard case .decided(let decision) = evaluation.counted([]) else { return #expect(Bool(false)) }
        #expect(decision.reason == .internalFailure)
    }

    @Test func `is by subject, for tokens issued before a moment, and by id`() throws {
        func identity(_ claims: JSONObject) throws -> Identity { try #require(Identity(claims: claims)) }
        #expect(try identity(claims).revocationKeys.map { text($0) } == ["revoked:subject:ada", "revoked:token:t1"])
        #expect(try identity(["sub": "ada", "jti": 7]).revocationKeys.map { text($0) } == ["revoked:subject:ada"])
        #expect(Identity.anonymous.revocationKeys.isEmpty)
        #expect(try !identity(claims).isRevoked([nil, nil]))
        #expect(try identity(claims).isRevoked([nil, 1]))
        #expect(try identity(claims).isRevoked([1001, nil]))
        #expect(try !identity(claims).isRevoked([1000, nil]))
        #expect(try identity(["sub": "ada"]).isRevoked([1]), "one without iat may be as old as any")
        #expect(try identity(["sub": "ada", "iat": "2000"]).isRevoked([1]))
    }
}
