import Bytes
import JSON
import Policy
import PolicyProtocol
import Testing

@testable import PolicyDaemon

private let severalLimits = """
    limits:
      narrow: { key: [subject], count: 2 }
      wide: { key: [claim.tenant], count: 3 }
      watched: { key: [client.ip], count: 1, shadow: true }
    rules:
      all: { limits: [narrow, wide, watched] }
    """

private let keys = (narrow: "limit:narrow|sub=a:", wide: "limit:wide|claim.tenant=t:", watched: "limit:watched|ip=127.0.0.1:")

extension Conversation {
    /// The ids and reasons of the verdicts that are there.
    fileprivate func reasons() throws -> [String] {
        try answers().map { if case .verdict(let id, let verdict) = $0 { "\(id) \(verdict.reason)" } else { "\($0)" } }
    }
}

private func member(_ user: String, of tenant: String = "t") throws -> String { try bearer(user, claims: [("tenant", .string(tenant))]) }

@Suite struct `Several limits` {
    @Test(arguments: [[0, 0, 0], [2, 1, 0], [1, 1, 0], [0, 1, 0], [2, 0, 0]])
    func `are asked together, and answered in any order`(order: [Int]) throws {
        let conversation = try Conversation(severalLimits)
        conversation.counter.answersAtOnce = false
        try conversation.check(1, member("a"))
        #expect(try conversation.answers().isEmpty)
        #expect(conversation.counter.asked == [keys.narrow, keys.wide, keys.watched])
        for index in order {
            #expect(try conversation.answers().isEmpty)
            conversation.counter.answer(index)
        }
        #expect(try conversation.reasons() == ["1 allowed"])
        #expect(conversation.point.decisions.waitingCount == 0)
    }

    @Test func `charge a request that one of them denies to none`() throws {
        let conversation = try Conversation(severalLimits)
        for id in 1...2 as ClosedRange<UInt32> { #expect(try conversation.verdict(id, member("a")).isAllowed) }
        let denied = try conversation.verdict(3, member("a"))
        #expect(denied.reason == "limit-exceeded")
        #expect(denied.response.contains(#"ratelimit: "narrow";r=0;t=30, "wide";r=0;t=30"#))
        #expect(conversation.counter.counts == [keys.narrow: 2, keys.wide: 2, keys.watched: 1])
        #expect(try conversation.verdict(4, member("b")).isAllowed)
        #expect(conversation.counter.counts[keys.wide] == 3)
    }

    @Test func `charge it to none whoever answers first, also where the client has gone`() throws {
        for order in [[0, 0, 0], [2, 1, 0]] {
            let conversation = try Conversation(severalLimits)
            for id in 1...2 as ClosedRange<UInt32> { _ = try conversation.verdict(id, member("a")) }
            conversation.counter.answersAtOnce = false
            try conversation.check(3, member("a"))
            _ = try conversation.answers()
            conversation.session.end(late: .message(milliseconds: 1))
            _ = try conversation.answers()
            for index in order { conversation.counter.answer(index) }
            #expect(try conversation.answers().isEmpty)
            #expect(conversation.counter.counts == [keys.narrow: 2, keys.wide: 2, keys.watched: 1])
            #expect(conversation.point.decisions.waitingCount == 0)
        }
    }

    @Test func `take a key to be over for a second at the most, since others may give back what it has counted`() throws {
        let conversation = try Conversation(severalLimits)
        for id in 1...3 as ClosedRange<UInt32> { _ = try conversation.verdict(id, member("a")) }
        #expect(conversation.counter.refused[keys.narrow] == now + 1_000)
        let alone = try Conversation(limit: 1)
        for id in 1...2 as ClosedRange<UInt32> { _ = try alone.verdict(id, bearer("a")) }
        #expect(try #require(alone.counter.refused["ratelimit:a:"]) > now + 1_000)
    }

    @Test func `deny without a count what is known to be over`() throws {
        let conversation = try Conversation(severalLimits)
        conversation.counter.knownOver[keys.narrow] = now + 5_000
        let denied = try conversation.verdict(1, member("a"))
        #expect(denied.reason == "limit-exceeded")
        #expect(denied.response.contains("retry-after: 5"))
        #expect(conversation.counter.counts == [keys.wide: 0, keys.watched: 0])
    }

    @Test func `leave a request alone that is over one of them in the shadow, whatever that counts by`() throws {
        let conversation = try Conversation(
            """
            limits:
              shadow: { key: [claim.tenant], count: 1, shadow: true, plan_claim: plan, plans: { none: denied } }
            rules:
              all: { limits: [shadow] }
            """)
        for id in 1...3 as ClosedRange<UInt32> { #expect(try conversation.verdict(id, member("a")).isAllowed) }
        #expect(try conversation.verdict(4, bearer("a", claims: [("plan", .string("none"))])).isAllowed)
        #expect(try conversation.verdict(5, bearer("a", claims: [("tenant", .array([]))])).isAllowed, "no key can be made of a list")
    }

    @Test func `that a ticket was answered for once are not answered again by it`() throws {
        let conversation = try Conversation(severalLimits)
        conversation.counter.answersAtOnce = false
        try conversation.check(1, member("a"))
        _ = try conversation.answers()
        let questions = conversation.counter.waiting
        for _ in 0..<5 { conversation.counter.answer(questions[0]) }
        #expect(try conversation.answers().isEmpty, "two answers are still awaited")
        for question in questions { conversation.counter.answer(question) }
        #expect(try conversation.reasons() == ["1 allowed"])
        // The place is taken by another one now.
        try conversation.check(2, member("b"))
        #expect(try conversation.answers().isEmpty)
        for question in questions { conversation.counter.answer(question) }
        #expect(try conversation.answers().isEmpty)
        for question in conversation.counter.waiting.suffix(3) { conversation.counter.answer(question) }
        #expect(try conversation.reasons() == ["2 allowed"])
    }
}

@Suite struct `Limits before authentication` {
    private static let configuration = """
        limits:
          address: { key: [client.ip], count: 2 }
        failed_authentications: { count: 2 }
        rules:
          all: { limits: [default], limits_before_authentication: [address] }
        """
    private let address = "limit:address|ip=192.0.2.1:"
    private let failures = "limit:failed-authentications|ip=192.0.2.1:"

    @Test func `count before a token is looked at, and stay counted where it is refused`() throws {
        let conversation = try Conversation(Self.configuration)
        #expect(try conversation.verdict(1, "Bearer x", peer: "192.0.2.1").reason == "token-malformed")
        #expect(conversation.counter.counts == [address: 1, failures: 1])
        #expect(try conversation.verdict(2, bearer("a"), peer: "192.0.2.1").isAllowed)
        #expect(try conversation.verdict(3, bearer("a"), peer: "192.0.2.1").reason == "limit-exceeded")
        #expect(conversation.counter.counts == [address: 2, failures: 1, "ratelimit:a:": 1])
    }

    @Test func `make guessing slow: too many wrong tokens, and the next is not looked at, good or not`() throws {
        let conversation = try Conversation(Self.configuration.replacing("count: 2 }\nfailed", with: "count: 99 }\nfailed"))
        for id in 1...2 as ClosedRange<UInt32> { #expect(try conversation.verdict(id, "Bearer x", peer: "192.0.2.1").status == 401) }
        let denied = try conversation.verdict(3, bearer("a"), peer: "192.0.2.1")
        #expect(denied.reason == "authentication-failures-exceeded")
        #expect(denied.status == 429)
        #expect(try conversation.verdict(4, bearer("a"), peer: "192.0.2.2").isAllowed)
        #expect(conversation.counter.counts[failures] == 2)
        #expect(try conversation.verdict(5, peer: "192.0.2.1").reason == "token-missing", "nothing was guessed")
    }

    @Test func `wait as others do, and the request is kept for what comes after`() throws {
        let conversation = try Conversation(Self.configuration)
        conversation.counter.answersAtOnce = false
        try conversation.check(1, bearer("a"))
        for _ in 0..<3 {
            #expect(try conversation.answers().isEmpty)
            conversation.counter.answer()
        }
        #expect(try conversation.reasons() == ["1 allowed"])
        #expect(conversation.counter.asked.map { String($0.prefix { $0 != "|" }) } == ["limit:address", "limit:failed-authentications", "ratelimit:a:"])
    }
}

@Suite struct `Revocation` {
    private static let configuration = "redis: { url: \"redis://127.0.0.1\" }\nrevocation: { enabled: true }"
    private let subject = "revoked:subject:a"
    private let id = "revoked:token:t1"

    private func issued(_ at: Int64) throws -> String {
        try bearer("a", claims: [("jti", .string("t1")), ("iat", .number(JSONNumber(at)))])
    }

    @Test func `is asked in the same turn as the counts`() throws {
        let conversation = try Conversation(Self.configuration)
        conversation.counter.answersAtOnce = false
        try conversation.check(1, issued(now / 1000))
        #expect(try conversation.answers().isEmpty)
        #expect(conversation.counter.asked == ["ratelimit:a:", subject, id])
        for index in [1, 1, 0] { conversation.counter.answer(index) }
        #expect(try conversation.reasons() == ["1 allowed"])
    }

    @Test func `denies a token by its id, and those of its subject that were issued before, and charges nobody`() throws {
        let conversation = try Conversation(Self.configuration)
        conversation.counter.revocations[id] = .revoked(unixSeconds: now / 1000)
        let denied = try conversation.verdict(1, issued(now / 1000))
        #expect(denied.reason == "token-revoked")
        #expect(denied.status == 401)
        conversation.counter.revocations = [subject: .revoked(unixSeconds: now / 1000 - 10)]
        #expect(try conversation.verdict(2, issued(now / 1000 - 11)).reason == "token-revoked")
        #expect(conversation.counter.counts == ["ratelimit:a:": 0])
        #expect(try conversation.verdict(3, issued(now / 1000 - 10)).isAllowed)
        #expect(try conversation.verdict(4, bearer("a")).reason == "token-revoked", "it doesn't say when it was issued")
    }

    @Test func `that nobody can be asked about denies, whatever happens to counts then`() throws {
        let conversation = try Conversation(Self.configuration)
        conversation.counter.revocations[subject] = .unavailable
        let denied = try conversation.verdict(1, issued(now / 1000))
        #expect(denied.reason == "revocation-unavailable")
        #expect(denied.status == 503)
        #expect(conversation.counter.counts == ["ratelimit:a:": 0])
        conversation.counter.revocations[id] = .revoked(unixSeconds: 0)
        #expect(try conversation.verdict(2, issued(now / 1000)).reason == "token-revoked", "known is known")
    }
}

@Suite struct `A suspended request` {
    @Test(arguments: [("", false), ("response_headers: { x-path: \"${request.path}\" }", true)])
    func `is kept only where it is looked at again`(option: String, isKept: Bool) throws {
        let conversation = try Conversation("rules:\n  all: { limits: [default], \(option) }")
        var evaluation = Evaluation(conversation.point.decisions.rules, nowUnixMilliseconds: now)
        let request = try Request(target: "/a", headers: [("authorization", bearer("a"))])
        guard case .authenticate = evaluation.start(request.view) else { return #expect(Bool(false)) }
        #expect(evaluation.needsRequestAgain == isKept)
        conversation.counter.answersAtOnce = false
        try conversation.check(1, bearer("a"), target: "/a?b=c")
        _ = try conversation.answers()
        conversation.counter.answer()
        guard case .verdict(1, let verdict)? = try conversation.answers().first else { return #expect(Bool(false)) }
        #expect(verdict.response.contains("x-path: /a") == isKept)
    }

    @Test func `is decided by the configuration that it began under, and the next by the new one`() throws {
        let conversation = try Conversation("limit: { count: 1 }")
        conversation.counter.answersAtOnce = false
        try conversation.check(1, bearer("a"))
        try conversation.check(2, bearer("a"))
        _ = try conversation.answers()
        let former = conversation.point.decisions
        try conversation.adopt("rules:\n  none: { path: /other }")
        try conversation.check(3, bearer("a"))
        #expect(try conversation.reasons() == ["3 rule-missing"])
        #expect(former.waitingCount == 2)
        for _ in 0..<2 { conversation.counter.answer() }
        #expect(try conversation.reasons() == ["1 allowed", "2 limit-exceeded"])
        #expect(former.waitingCount == 0)
    }

    @Test func `tells of its limits as the configuration says that it began under`() throws {
        let conversation = try Conversation("limit: { count: 5 }\nlimit_headers: { ratelimit: false }")
        for id in 1...2 as ClosedRange<UInt32> { _ = try conversation.verdict(id, bearer("a")) }
        conversation.counter.answersAtOnce = false
        try conversation.check(3, bearer("a"))
        _ = try conversation.answers()
        try conversation.adopt("limit: { count: 5 }\nlimit_headers: { x_ratelimit: false }")
        conversation.counter.answer()
        guard case .verdict(3, let verdict)? = try conversation.answers().first else { return #expect(Bool(false)) }
        #expect(verdict.response.map { $0.prefix { $0 != ":" } } == ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"])
    }

    @Test func `is one of so many, and one more is denied before it is counted`() throws {
        let conversation = try Conversation("limit: { count: 5 }", maximumWaiting: 1)
        conversation.counter.answersAtOnce = false
        for id in 1...2 as ClosedRange<UInt32> { try conversation.check(id, bearer("a")) }
        #expect(try conversation.reasons() == ["2 internal-failure"])
        #expect(conversation.counter.counts == ["ratelimit:a:": 1])
        conversation.counter.answer()
        #expect(try conversation.reasons() == ["1 allowed"])
        try conversation.check(3, bearer("a"))
        #expect(try conversation.reasons() == [])
    }
}

@Suite struct `What an upstream is not to see` {
    private static let configuration = """
        credentials: [header authorization Bearer, cookie session, query access_token]
        rules:
          all: { path: /**, allow_preflight: true, request_headers: { x-tenant: "${claim.tenant}" }, remove_request_headers: [x-debug] }
          open: { path: /open, authentication: none }
        """

    @Test func `is a credential, in any place that it was in`() throws {
        let conversation = try Conversation(Self.configuration)
        let token = try token("a")
        let query = try conversation.verdict(1, target: "/a?b=c&access%5ftoken=\(token)&d", headers: [("cookie", "x=1")])
        #expect(query.query == "b=c&d")
        #expect(!query.request.contains { $0.hasPrefix("cookie") })
        let all = try conversation.verdict(
            2, "Bearer \(token)", target: "/a?access_token=\(token)", headers: [("cookie", "a=b; session=\(token)"), ("cookie", "c=d")])
        #expect(all.isAllowed)
        #expect(all.query == "")
        #expect(all.request.contains("cookie: a=b; c=d"))
        #expect(all.request.contains("-authorization"))
        let other = try conversation.verdict(3, "Bearer \(token)", target: "/a?access_token=\(token)x")
        #expect(other.reason == "authorization-repeated")
    }

    @Test func `is what the rule takes out, in a CORS preflight too`() throws {
        let conversation = try Conversation(Self.configuration)
        let preflight = [("origin", "https://example.com"), ("access-control-request-method", "GET")]
        let verdict = try conversation.verdict(1, method: "OPTIONS", target: "/a", headers: preflight)
        #expect(verdict.reason == "allowed-preflight")
        #expect(verdict.request == ["-x-user-id", "-x-user-email", "-x-user-role", "-x-tenant", "-x-debug", "-authorization"])
        #expect(try conversation.verdict(2, method: "OPTIONS", target: "/a").reason == "token-missing", "without an Origin")
    }
}

@Suite struct `The subject that an operator chooses` {
    @Test func `is what it is counted for, and what the upstream is told`() throws {
        let conversation = try Conversation("subject_claims: [sub]")
        let verdict = try conversation.verdict(1, bearer("by-user-id", claims: [("sub", "by-sub")]))
        #expect(verdict.subject == "by-sub")
        #expect(verdict.request.first == "x-user-id: by-sub")
        #expect(conversation.counter.asked == ["ratelimit:by-sub:"])
    }
}

@Suite struct `What is counted for the metrics` {
    @Test func `is each decision by its reason, each hit by its limit, and each lookup`() throws {
        let conversation = try Conversation(
            """
            limits:
              narrow: { key: [subject], count: 1 }
              watched: { key: [subject], count: 1, shadow: true }
            rules:
              all: { path: /**, limits: [narrow, watched] }
              admin: { path: /admin, conditions: { not-an-admin: { claim: role, equals: admin } } }
            """)
        for id in 1...2 as ClosedRange<UInt32> { _ = try conversation.verdict(id, bearer("a")) }
        _ = try conversation.verdict(3, bearer("a"), target: "/admin")
        _ = try conversation.verdict(4, "Bearer x")
        _ = try conversation.verdict(5)
        conversation.input.append([0xC2, 0, 0, 4, 0, 0, 0, 6, 0x81, 0, 1, UInt8(ascii: " ")] as [UInt8])
        _ = try conversation.answers()
        conversation.counter.failure = .allow
        _ = try conversation.verdict(7, bearer("b"))
        #expect(
            Set(conversation.registry.lines("gatehouse_policyd_decisions_total")) == [
                #"gatehouse_policyd_decisions_total{reason="allowed"} 1"#, #"gatehouse_policyd_decisions_total{reason="allowed-uncounted"} 1"#,
                #"gatehouse_policyd_decisions_total{reason="limit-exceeded"} 1"#, #"gatehouse_policyd_decisions_total{reason="not-an-admin"} 1"#,
                #"gatehouse_policyd_decisions_total{reason="token-malformed"} 1"#, #"gatehouse_policyd_decisions_total{reason="token-missing"} 1"#,
                #"gatehouse_policyd_decisions_total{reason="check-malformed"} 1"#,
            ])
        #expect(
            Set(conversation.registry.lines("gatehouse_policyd_limit_hits_total")) == [
                #"gatehouse_policyd_limit_hits_total{limit="narrow",result="admitted"} 1"#,
                #"gatehouse_policyd_limit_hits_total{limit="narrow",result="exceeded"} 1"#,
                #"gatehouse_policyd_limit_hits_total{limit="narrow",result="uncounted"} 1"#,
                #"gatehouse_policyd_limit_hits_total{limit="watched",result="admitted"} 1"#,
                #"gatehouse_policyd_limit_hits_total{limit="watched",result="shadow_exceeded"} 1"#,
                #"gatehouse_policyd_limit_hits_total{limit="watched",result="uncounted"} 1"#,
            ])
        #expect(
            conversation.registry.lines("gatehouse_policyd_credential_lookups_total") == [
                #"gatehouse_policyd_credential_lookups_total{result="hit"} 2"#, #"gatehouse_policyd_credential_lookups_total{result="miss"} 3"#,
            ])
    }

    @Test func `is each request that another dialect refuses, and not that none came`() throws {
        let conversation = try Conversation(limit: 5)
        for isSent in [true, false] {
            let judge = PolicyJudge(GreetedDecisionPoint(conversation.point))
            let session = HTTPSession(judge, maximumInFlight: 1, output: ByteBuffer(capacity: 512))
            let input = ByteBuffer(capacity: 512)
            if isSent { input.append("GET /envoy/a//b HTTP/1.1\r\nHost: a\r\n\r\n") }
            session.receive(input, nowUnixMilliseconds: now)
            if !isSent { session.end(late: .greeting(milliseconds: 1)) }
            let output = session.output
            let answer = output.bytes.text
            #expect(answer.hasPrefix(isSent ? "HTTP/1.1 400 " : "HTTP/1.1 408 "))
        }
        #expect(conversation.registry.lines("gatehouse_policyd_decisions_total") == [#"gatehouse_policyd_decisions_total{reason="check-malformed"} 1"#])
    }

    @Test func `goes on over a reload`() throws {
        let conversation = try Conversation("limit: { count: 5 }")
        _ = try conversation.verdict(1, bearer("a"))
        try conversation.adopt("limit: { count: 6 }")
        _ = try conversation.verdict(2, bearer("a"))
        try conversation.adopt("limits: { more: { key: [subject], count: 5 } }\nrules: { all: { limits: [more, default] } }")
        _ = try conversation.verdict(3, bearer("a"))
        #expect(conversation.registry.lines("gatehouse_policyd_decisions_total") == [#"gatehouse_policyd_decisions_total{reason="allowed"} 3"#])
        #expect(
            conversation.registry.lines("gatehouse_policyd_limit_hits_total") == [
                #"gatehouse_policyd_limit_hits_total{limit="more",result="admitted"} 1"#,
                #"gatehouse_policyd_limit_hits_total{limit="default",result="admitted"} 3"#,
            ])
    }
}
