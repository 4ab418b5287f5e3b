import JSON
import Testing

@testable import Policy

@Suite struct `A simulated request` {
    @Test(arguments: [
        CredentialRules(), CredentialRules(tokens: [.header(name: "x-token", scheme: nil)]), CredentialRules(tokens: [.cookie(name: "session")]),
        CredentialRules(tokens: [.query(name: "access_token")]),
    ])
    func `needs no credential for its claims`(credentials: CredentialRules) throws {
        let rules = try policy(credentials: credentials)
        for request in [Request(), Request(target: "/?a=b", headers: [("Cookie", "c=d")])] {
            #expect(rules.decide(request).requestHeader("x-user-id")?.text == "ada")
            #expect(rules.decide(request, as: .refused(.tokenExpired)).reason == .tokenExpired)
            #expect(rules.decide(request, as: nil).reason == .tokenMissing)
        }
    }

    @Test func `of an API key is nobody's where none is taken`() throws {
        #expect(try policy().decide(Request(), as: .apiKey("robot")).reason == .tokenMissing)
        let rules = try policy(credentials: CredentialRules(apiKeys: [.query(name: "key")]))
        let decision = rules.decide(Request(target: "/?a=b"), as: .apiKey("robot"))
        #expect(decision.requestHeader("x-user-id")?.text == "robot")
        #expect(text(decision.changes.query) == "a=b")
    }

    @Test func `whose credential is not spoken of is refused`() throws {
        #expect(try policy().decide(bearer, as: nil).reason == .tokenMalformed)
    }

    @Test(arguments: LimitAlgorithm.allCases)
    func `stands to a limit as what was counted before says`(algorithm: LimitAlgorithm) throws {
        let rules = try policy { $0.limits = [try limited("user", to: 10, algorithm)] }
        for used in 0..<10 {
            let decision = rules.decide(counts: ["user": .counted(used)])
            #expect(decision.isAllowed)
            #expect(decision.closest?.status?.remaining == 9 - used)
        }
        for used in [10, 11, Int.max] {
            let decision = rules.decide(counts: ["user": .counted(used, previous: Int.max)])
            #expect(decision.denial?.status == 429)
            #expect(try #require(decision.denial?.retryAfterSeconds) >= 1)
        }
        #expect(rules.decide(counts: ["user": .counted(Int.min, previous: Int.min)]).isAllowed)
    }

    @Test func `is asked for its revocation only where the rules check it`() throws {
        let limits = [try limited("user")]
        #expect(try policy { $0.limits = limits }.decide(revocation: .revoked).isAllowed)
        let checking = try policy(credentials: CredentialRules(apiKeys: [.query(name: "key")]), checksRevocation: true) { $0.limits = limits }
        #expect(checking.decide(revocation: .revoked).reason == .tokenRevoked)
        #expect(checking.decide(Request(), as: .apiKey("robot"), revocation: .revoked).isAllowed)
    }

    @Test func `stands by what the window before has counted`() throws {
        let rules = try policy { $0.limits = [try limited("user")] }
        #expect(rules.decide(counts: ["user": .counted(49, previous: 100)]).isAllowed)
        #expect(!rules.decide(counts: ["user": .counted(50, previous: 100)]).isAllowed)
    }

    @Test func `is told step by step`() throws {
        let trace = Trace()
        let rules = try policy(checksRevocation: true) {
            $0.conditions = [try ClaimCondition(ClaimPath("sub"), .exists)]
            $0.limits = [try limited("user"), try limited("tried", to: 1, isShadow: true)]
        }
        _ = rules.decide(counts: ["user": 100, "tried": .unavailable(isAllowed: true)], trace: trace)
        #expect(
            trace.steps == [
                "rule one", #"authenticated as "ada""#, "condition on sub: holds", "limit user, counted by limit:user|sub=ada:: over, again in 31 s",
                "limit tried (shadow): nobody could count", "revocation of the token: valid", "denied with 429: limit-exceeded",
            ])
    }
}
