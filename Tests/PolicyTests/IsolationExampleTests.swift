import JSON
import Policy
import Testing

/// Everybody may read projects, a hundred times a minute. Admins may change them.
private func rules() throws -> PolicyRules {
    var reading = Rule.Options()
    reading.limits = [Limit(try LimitKey(name: "reads", parts: [.subject], rule: "read"), quota: try Quota(count: 100, windowSeconds: 60))]

    var changing = Rule.Options()
    changing.conditions = [try ClaimCondition(ClaimPath("role"), .equals("admin"), reason: ConditionReason("not-an-admin"))]

    let projects = try PathPattern("/api/projects/**")
    return try PolicyRules([
        ("read", RequestMatcher(methods: try MethodSet(["GET"]), path: projects), reading),
        ("change", RequestMatcher(path: projects), changing),
    ])
}

/// Half a minute before noon.
private let now: Int64 = 1_732_017_570_000

/// A request, the claims of its token, what was counted before, and the time: there is no socket, no thread, and no clock.
@Suite struct `Decisions in isolation` {
    private let read = Request(target: "/api/projects/7")
    private let change = Request(method: "PUT", target: "/api/projects/7")

    @Test func `a user reads, and the upstream is told who that is`() throws {
        let decision = try rules().decide(read, as: .token(["sub": "ada"]), counts: ["reads": 99], nowUnixMilliseconds: now)
        #expect(decision.isAllowed)
        #expect(decision.requestHeader("x-user-id")?.text == "ada")
        #expect(decision.closest?.status?.remaining == 0)
    }

    @Test func `the next request has to wait`() throws {
        let decision = try rules().decide(read, as: .token(["sub": "ada"]), counts: ["reads": 100], nowUnixMilliseconds: now)
        #expect(decision.reason == .limitExceeded)
        #expect(decision.denial?.status == 429)
        #expect(decision.denial?.retryAfterSeconds == 31)
    }

    @Test(arguments: [("admin", true), ("guest", false)])
    func `only an admin changes a project`(role: String, isAllowed: Bool) throws {
        let decision = try rules().decide(change, as: .token(["sub": "ada", "role": .string(role)]), nowUnixMilliseconds: now)
        #expect(decision.isAllowed == isAllowed)
    }

    @Test func `nobody reads without a token that holds`() throws {
        #expect(try rules().decide(read, nowUnixMilliseconds: now).reason == .tokenMissing)
        #expect(try rules().decide(read, as: .refused(.tokenExpired), nowUnixMilliseconds: now).denial?.status == 401)
    }

    @Test func `each step can be told`() throws {
        let trace = Trace()
        _ = try rules().decide(change, as: .token(["sub": "ada", "role": "guest"]), nowUnixMilliseconds: now, trace: trace)
        #expect(trace.steps == ["rule change", #"authenticated as "ada""#, "condition on role: doesn't hold", "denied with 403: not-an-admin"])
    }
}
