import JSON
import Testing

@testable import Policy

@Suite struct `Several limits` {
    private func rules() throws -> PolicyRules {
        try policy { $0.limits = [try limited("user"), try limited("address", to: 10, by: [.clientAddress]), try limited("all", by: [.rule], .tokenBucket)] }
    }

    @Test func `that one of denies charge none`() throws {
        let decision = try rules().decide(counts: ["address": 10])
        #expect(decision.reason == .limitExceeded)
        #expect(decision.standings.map(\.hit.limit.name) == ["user", "all", "address"])
        #expect(decision.standings.map(\.isOver) == [false, false, true])
        #expect(decision.givenBack == ["user", "all"])
        #expect(decision.denial?.bodyText.contains("You are allowed 10 requests per minute.") == true)
    }

    @Test func `that all admit stay charged`() throws {
        let decision = try rules().decide(counts: ["address": 9])
        #expect(decision.isAllowed)
        #expect(decision.givenBack == [])
        #expect(decision.closest?.hit.limit.name == "address")
    }

    @Test func `deny for as long as the one that has to be waited for longest`() throws {
        let decision = try rules().decide(counts: ["address": 10, "user": 100, "all": 100])
        #expect(decision.closest?.hit.limit.name == "address")
        #expect(decision.denial?.retryAfterSeconds == decision.standings.compactMap(\.status?.retryAfterSeconds).max())
        #expect(decision.givenBack == [])
    }

    @Test func `of which one is known to be over deny without having counted that one`() throws {
        let rules = try rules()
        var evaluation = Evaluation(rules, nowUnixMilliseconds: halfPast)
        _ = evaluation.start(bearer)
        guard case .count(let counting) = evaluation.authenticated(.token(["sub": "ada"])) else { return #expect(Bool(false)) }
        let outcomes = counting.hits.map { hit -> HitOutcome in
            guard hit.limit.name != "user" else { return .knownOver(untilUnixMilliseconds: halfPast + 7_400) }
            let status = hit.quota.judge(.first(hit.quota, cost: 1), cost: 1, nowUnixMilliseconds: halfPast)
            return .counted(status, HitReceipt(.window(1), unixMilliseconds: halfPast))
        }
        guard case .decided(let decision) = evaluation.counted(outcomes) else { return #expect(Bool(false)) }
        #expect(decision.reason == .limitExceeded)
        #expect(decision.denial?.retryAfterSeconds == 8)
        #expect(decision.closest?.hit.limit.name == "user")
        #expect(decision.givenBack == ["all", "address"])
    }

    @Test func `of which one can't be counted deny or allow as the operator chose`() throws {
        let denied = try rules().decide(counts: ["user": .unavailable(isAllowed: false)])
        #expect(denied.reason == .storeUnavailable)
        #expect(denied.givenBack == ["all", "address"])
        #expect(try rules().decide(counts: ["user": .unavailable(isAllowed: true)]).reason == .allowedUncounted)
        let over = try rules().decide(counts: ["user": .unavailable(isAllowed: false), "address": 10])
        #expect(over.denial?.status == 429, "what is known says more than what isn't")
    }

    @Test func `are told of in the standard fields, in order, but for shadows`() throws {
        let rules = try policy {
            $0.limits = [try limited("user"), try limited("tried", to: 1, isShadow: true), try limited("burst", to: 50, .slidingLog)]
        }
        let told = rules.decide(counts: ["user": 39]).standings.filter(\.isTold)
        #expect(told.map { text($0.hit.allowance.policyItem) } == [#""user";q=100;w=60"#, #""burst";q=50;w=60"#])
        #expect(told.map { text($0.hit.allowance.standingItem) } == [#""user";r="#, #""burst";r="#])
        #expect(told.map { $0.status?.remaining } == [60, 49])
        #expect(told.map { $0.resetSeconds(nowUnixMilliseconds: halfPast) } == [30, 60])
        #expect(try policy().decide().standings.isEmpty)
    }

    @Test func `have as the closest the one with the least share left`() throws {
        let rules = try policy { $0.limits = [try limited("big", to: 1000), try limited("small", to: 10)] }
        #expect(rules.decide(counts: ["big": 900]).closest?.hit.limit.name == "big")
        #expect(rules.decide(counts: ["big": 100, "small": 5]).closest?.hit.limit.name == "small")
        #expect(rules.decide(counts: ["big": 1000, "small": 9]).closest?.hit.limit.name == "big")
    }
}

@Suite struct `A limit in the shadow` {
    @Test func `counts and reports, and never denies`() throws {
        let rules = try policy { $0.limits = [try limited("tried", to: 1, isShadow: true), try limited("user")] }
        let decision = rules.decide(counts: ["tried": 5])
        #expect(decision.isAllowed)
        #expect(decision.standings.map(\.isOver) == [true, false])
        #expect(decision.closest?.hit.limit.name == "user")
        #expect(rules.decide(counts: ["tried": .unavailable(isAllowed: false)]).reason == .allowed)
    }

    @Test func `does not deny by its list, nor where it can't count`() throws {
        let list: JSONObject = ["sub": "ada", "tenant": ["a", "b"]]
        let rules = try policy {
            $0.limits = [
                try limited("tried", isShadow: true, overrides: ["ada": .denied]),
                try limited("tenant", by: [.claim(ClaimPath("tenant"))], isShadow: true),
                try limited("both", by: [.claim(ClaimPath("tenant")), .clientAddress], isShadow: true),
            ]
        }
        #expect(rules.decide(as: .token(list)).isAllowed)
    }

    @Test func `is given back with the others`() throws {
        let rules = try policy { $0.limits = [try limited("tried", isShadow: true), try limited("user")] }
        #expect(rules.decide(counts: ["user": 100]).givenBack == ["tried"])
    }
}

@Suite struct `What a limit lets through` {
    private func rules() throws -> PolicyRules {
        let plans: [String: Allowance.Kind] = ["gold": .quota(try Quota(count: 1000, windowSeconds: 60)), "staff": .unlimited, "banned": .denied]
        let overrides: [String: Allowance.Kind] = ["root": .unlimited, "eve": .denied, "bob": .quota(try Quota(count: 5, windowSeconds: 60))]
        return try policy { $0.limits = [try limited("user", plans: (ClaimPath("plan"), plans), overrides: overrides)] }
    }

    private func outcome(_ subject: String, _ plan: JSONValue = .null) throws -> String {
        let decision = try rules().decide(as: .token(["sub": .string(subject), "plan": plan]))
        return "\(decision.reasonString) \(decision.closest?.status?.limit ?? 0)"
    }

    @Test func `is chosen by the plan, else the standard`() throws {
        #expect(try outcome("ada") == "allowed 100")
        #expect(try outcome("ada", "silver") == "allowed 100")
        #expect(try outcome("ada", "gold") == "allowed 1000")
        #expect(try outcome("ada", "staff") == "allowed 0")
        #expect(try outcome("ada", "banned") == "subject-denied 0")
        #expect(try outcome("ada", ["gold"]) == "allowed 100", "a list names no plan")
    }

    @Test func `is first of all what is said of the subject`() throws {
        #expect(try outcome("bob", "gold") == "allowed 5")
        #expect(try outcome("root", "banned") == "allowed 0")
        #expect(try outcome("eve", "staff") == "subject-denied 0")
        #expect(try rules().decide(as: .token(["sub": "eve"])).denial?.status == 403)
    }

    @Test func `is counted apart by all of the quota, so that one key always comes with one`() throws {
        let plans: [String: Allowance.Kind] = [
            "gold": .quota(try Quota(count: 1000, windowSeconds: 60)), "hourly": .quota(try Quota(count: 1000, windowSeconds: 3600)),
            "fixed": .quota(try Quota(.fixedWindow, count: 1000, windowSeconds: 60)),
        ]
        let rules = try policy { $0.limits = [try limited("user", plans: (ClaimPath("plan"), plans))] }
        let keys = ["none", "gold", "hourly", "fixed"].map { plan in
            text(rules.decide(as: .token(["sub": "ada", "plan": .string(plan)])).closest?.hit.key)
        }
        #expect(
            keys == [
                "limit:user|sub=ada:", "limit:user|sub=ada|quota=1000/1000:", "limit:user|sub=ada|quota=1000/1000/3600/sliding-window:",
                "limit:user|sub=ada|quota=1000/1000/60/fixed-window:",
            ])
    }

    @Test func `may be limited in so many ways, and no more`() throws {
        _ = try policy { $0.limits = try (1...RuleLimits.limitsPerRule).map { try limited("l\($0)") } }
        let message = mistake { try policy { $0.limits = try (0...RuleLimits.limitsPerRule).map { try limited("l\($0)") } } }
        #expect(message == #"the rule "one" has 33 limits; accepted are at most 32"#)
    }

    @Test func `is told in the message of whoever has used it up`() throws {
        let decision = try rules().decide(as: .token(["sub": "bob"]), counts: ["user": 5])
        #expect(decision.denial?.bodyText.contains("You are allowed 5 requests per minute.") == true)
    }

    @Test func `is used up by what requests cost`() throws {
        let rules = try policy { $0.limits = [try limited("user")]; $0.cost = 30 }
        #expect(rules.decide(counts: ["user": 70]).closest?.status?.remaining == 0)
        #expect(rules.decide(counts: ["user": 70]).isAllowed)
        #expect(!rules.decide(counts: ["user": 71]).isAllowed)
        let dear = try policy { $0.limits = [try limited("user")]; $0.cost = 101 }
        #expect(!dear.decide().isAllowed)
    }
}

@Suite struct `A key that can't be made` {
    @Test func `denies`() throws {
        let byTenant = try policy { $0.limits = [try limited("tenant", by: [.claim(ClaimPath("tenant"))])] }
        let decision = byTenant.decide(as: .token(["sub": "ada", "tenant": ["a"]]))
        #expect(decision.reasonString == "limit-key-unfit")
        #expect(decision.denial?.status == 400)
        #expect(byTenant.decide().isAllowed, "a missing claim is a key of its own")
        let byAddress = try policy { $0.limits = [try limited("address", by: [.clientAddress])] }
        #expect(byAddress.decide(Request(clientAddress: "somewhere")).reason == .limitKeyUnfit)
        let before = try policy { $0.limitsBeforeAuthentication = [try limited("address", by: [.clientAddress])] }
        #expect(before.decide(Request(clientAddress: "somewhere")).reason == .limitKeyUnfit)
        let failures = try policy(failureLimit: limited("address", by: [.clientAddress]))
        #expect(failures.decide(Request(clientAddress: "somewhere")).reason == .limitKeyUnfit)
        let byHeader = try policy { $0.limits = [try limited("header", by: [.header(Array("x-tenant".utf8))])] }
        #expect(byHeader.decide(Request(headers: [("X-Tenant", String(repeating: "a", count: 2000))])).reason == .limitKeyUnfit)
    }
}

@Suite struct `A limit before authentication` {
    private func rules() throws -> PolicyRules {
        try policy {
            $0.limitsBeforeAuthentication = [try limited("address", to: 10, by: [.clientAddress])]
            $0.limits = [try limited("user", to: 5)]
            $0.conditions = [try ClaimCondition(ClaimPath("blocked"), .not(.exists))]
        }
    }

    @Test func `denies before a token is looked at`() throws {
        let decision = try rules().decide(as: .refused(.tokenExpired), counts: ["address": 10])
        #expect(decision.reason == .limitExceeded)
        #expect(decision.denial?.status == 429)
        #expect(decision.standings.count == 1)
    }

    @Test func `is counted by address alone, for 1`() throws {
        var evaluation = Evaluation(try rules(), nowUnixMilliseconds: halfPast)
        guard case .count(let counting) = evaluation.start(bearer) else { return #expect(Bool(false)) }
        #expect(counting.hits.map { text($0.key) } == ["limit:address|ip=192.0.2.7:"])
        #expect(counting.hits.map(\.cost) == [1])
    }

    @Test func `is given back where another limit denies`() throws {
        #expect(try rules().decide(counts: ["user": 5]).givenBack == ["address"])
        #expect(try rules().decide(counts: ["user": .unavailable(isAllowed: false)]).givenBack == ["address"])
    }

    @Test func `stays charged where something else denies`() throws {
        for decision in [
            try rules().decide(Request(), as: nil), try rules().decide(as: .refused(.tokenExpired)), try rules().decide(as: .keysUnavailable),
            try rules().decide(as: .token(["sub": "ada", "blocked": true])),
        ] {
            #expect(!decision.isAllowed)
            #expect(decision.standings.map(\.hit.limit.name) == ["address"])
            #expect(decision.givenBack == [])
        }
    }

    @Test func `is told of beside the others`() throws {
        #expect(try rules().decide().standings.map(\.hit.limit.name) == ["address", "user"])
        #expect(try rules().decide(counts: ["address": 9]).closest?.hit.limit.name == "address")
    }
}

@Suite struct `A limit on failed authentications` {
    private func rules(isShadow: Bool = false) throws -> PolicyRules {
        try policy(failureLimit: limited("failures", to: 20, by: [.clientAddress], isShadow: isShadow)) { $0.limits = [try limited("user")] }
    }

    @Test func `asks whether there were too many, and counts one where a token is refused`() throws {
        var evaluation = Evaluation(try rules(), nowUnixMilliseconds: halfPast)
        guard case .count(let screening) = evaluation.start(bearer) else { return #expect(Bool(false)) }
        #expect(screening.hits.map(\.cost) == [0])
        #expect(screening.hits.map { text($0.key) } == ["limit:failures|ip=192.0.2.7:"])
        guard case .authenticate = evaluation.counted([.uncounted(isAllowed: true)]) else { return #expect(Bool(false)) }
        guard case .count(let failing) = evaluation.authenticated(.refused(.tokenSignatureInvalid)) else { return #expect(Bool(false)) }
        #expect(failing.hits.map(\.cost) == [1])
        #expect(failing.hits[0].key == screening.hits[0].key)
        guard case .decided(let decision) = evaluation.counted([.uncounted(isAllowed: true)]) else { return #expect(Bool(false)) }
        #expect(decision.reason == .tokenSignatureInvalid)
    }

    @Test func `denies whatever comes once there are`() throws {
        for outcome in [AuthenticationOutcome.token(["sub": "ada"]), .refused(.tokenMalformed)] {
            let decision = try rules().decide(as: outcome, counts: ["failures": 20])
            #expect(decision.reasonString == "authentication-failures-exceeded")
            #expect(decision.denial?.status == 429)
            #expect(try #require(decision.denial?.retryAfterSeconds) == 33)
            #expect(decision.denial?.bodyText == #"{"error":"Too Many Requests","message":"Too many failed attempts to authenticate. Please try again later.","resetAt":"2024-11-19T12:00:00.000Z"}"#)
        }
    }

    @Test func `leaves good requests alone, and what is denied for another reason`() throws {
        let good = try rules().decide(counts: ["failures": 19])
        #expect(good.isAllowed)
        #expect(good.standings.map(\.hit.limit.name) == ["user"])
        #expect(try rules().decide(Request(), as: nil, counts: ["failures": 20]).reason == .tokenMissing)
        #expect(try rules().decide(as: .keysUnavailable).reason == .keysUnavailable)
    }

    @Test func `keeps a counted failure charged`() throws {
        let decision = try rules().decide(as: .refused(.tokenExpired), counts: ["failures": 19])
        #expect(decision.reason == .tokenExpired)
        #expect(decision.givenBack == [])
    }

    @Test func `in the shadow denies nobody`() throws {
        #expect(try rules(isShadow: true).decide(counts: ["failures": 50]).isAllowed)
        #expect(try rules(isShadow: true).decide(as: .refused(.tokenExpired), counts: ["failures": 50]).reason == .tokenExpired)
    }

    @Test func `that can't be asked denies where the operator chose so`() throws {
        #expect(try rules().decide(counts: ["failures": .unavailable(isAllowed: false)]).reason == .storeUnavailable)
        #expect(try rules().decide(counts: ["failures": .unavailable(isAllowed: true)]).reason == .allowed)
    }
}
