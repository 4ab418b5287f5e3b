import JSON
import Testing

@testable import Policy

/// Has an evaluation called in any order, and knows whether each question so far was answered as asked, and well.
private struct Caller {
    private enum Question {
        case start
        case authenticate
        case count(Counting)
        case nothing
    }

    private var evaluation: Evaluation
    private var question = Question.start
    private var isSound = true
    private(set) var allowed = 0
    private(set) var mistakes: [String] = []

    init(_ rules: PolicyRules) { evaluation = Evaluation(rules, nowUnixMilliseconds: halfPast) }

    mutating func call(_ generator: inout SeededGenerator) {
        let isProper = Int.random(in: 0..<10, using: &generator) > 0
        switch question {
        case .start where isProper: start()
        case .authenticate where isProper: authenticate(&generator)
        case .count where isProper: count(&generator)
        default:
            switch Int.random(in: 0..<3, using: &generator) {
            case 0: start()
            case 1: authenticate(&generator)
            default: count(&generator)
            }
        }
    }

    private mutating func start() {
        if case .start = question {} else { isSound = false }
        take(evaluation.start(bearer))
    }

    private mutating func authenticate(_ generator: inout SeededGenerator) {
        if case .authenticate = question {} else { isSound = false }
        let outcomes: [AuthenticationOutcome] = [
            .token(["sub": "ada", "role": "admin"]), .token(["sub": "ada", "role": "admin"]), .token(["sub": "ada"]),
            .token(["sub": "ada", "role": "admin"], issuer: 1), .refused(.tokenExpired), .keysUnavailable,
        ]
        let index = Int.random(in: 0..<outcomes.count, using: &generator)
        if index > 1 { isSound = false }
        take(evaluation.authenticated(outcomes[index]))
    }

    private mutating func count(_ generator: inout SeededGenerator) {
        var hits: [Hit] = []
        var asksForRevocation = false
        if case .count(let counting) = question {
            hits = counting.hits
            asksForRevocation = counting.revocationOf != nil
        } else {
            isSound = false
        }
        var outcomes = hits.map { hit -> HitOutcome in
            let used = Int.random(in: 0..<8, using: &generator) > 0 ? 0 : 1000
            if used > 0 { isSound = false }
            let counts = WindowCounts(current: used + hit.cost, previous: 0)
            let status = hit.quota.judge(.windows(counts), cost: hit.cost, nowUnixMilliseconds: halfPast)
            return .counted(status, HitReceipt(.window(1), unixMilliseconds: halfPast))
        }
        if Int.random(in: 0..<10, using: &generator) == 0 {
            isSound = false
            if outcomes.isEmpty || Bool.random(using: &generator) { outcomes.append(.uncounted(isAllowed: true)) } else { outcomes.removeLast() }
        }
        let revocations: [RevocationStatus?] = asksForRevocation ? [.valid, .valid, .valid, .valid, .revoked, .unavailable, nil] : [.valid, nil]
        let revocation = revocations.randomElement(using: &generator) ?? nil
        if asksForRevocation, revocation != .valid { isSound = false }
        take(evaluation.counted(outcomes, revocation: revocation))
    }

    private mutating func take(_ action: Evaluation.Action) {
        switch action {
        case .authenticate: question = .authenticate
        case .count(let counting): question = .count(counting)
        case .decided(let decision):
            question = .nothing
            if decision.isAllowed { allowed += 1 }
            if decision.isAllowed != isSound { mistakes.append("\(decision.reasonString) after \(isSound ? "good" : "bad") answers") }
            isSound = false
        }
    }
}

@Suite struct `An evaluation that is called in any order` {
    private func rules(checksRevocation: Bool, hasFailureLimit: Bool, hasLimits: Bool) throws -> PolicyRules {
        try policy(failureLimit: hasFailureLimit ? limited("failures", by: [.clientAddress]) : nil, checksRevocation: checksRevocation) {
            $0.issuers = [0]
            $0.conditions = [try ClaimCondition(ClaimPath("role"), .equals("admin"))]
            guard hasLimits else { return }
            $0.limitsBeforeAuthentication = [try limited("address", by: [.clientAddress])]
            $0.limits = [try limited("user"), try limited("both", by: [.subject, .clientAddress])]
        }
    }

    @Test(arguments: 0..<8)
    func `allows where all was answered as asked and well, and never else`(variant: Int) throws {
        let rules = try rules(checksRevocation: variant & 1 > 0, hasFailureLimit: variant & 2 > 0, hasLimits: variant & 4 > 0)
        var generator = SeededGenerator(seed: UInt64(variant))
        var allowed = 0
        for _ in 0..<2_000 {
            var caller = Caller(rules)
            for _ in 0..<8 { caller.call(&generator) }
            allowed += caller.allowed
            #expect(caller.mistakes == [])
        }
        #expect(allowed > 50, "some of them were called as they should be")
    }

    @Test func `denies with 500`() throws {
        var early = Evaluation(try .usual(), nowUnixMilliseconds: halfPast)
        guard case .decided(let first) = early.counted([]) else { return #expect(Bool(false)) }
        #expect(first.denial?.status == 500)
        var twice = Evaluation(try .usual(), nowUnixMilliseconds: halfPast)
        _ = twice.start(Request())
        guard case .decided(let second) = twice.authenticated(.token(["sub": "ada"])) else { return #expect(Bool(false)) }
        #expect(second.reason == .internalFailure)
        guard case .decided(let third) = twice.start(bearer) else { return #expect(Bool(false)) }
        #expect(third.denial?.status == 500)
    }
}
