import Counters
import Policy
import PolicyProtocol

/// A request being judged: its evaluation, and what is known of its token once that is verified.
struct Judgement {
    fileprivate(set) var evaluation: Evaluation
    fileprivate(set) var token: KnownToken?
}

/// Carries out what an evaluation asks for: what one worker needs to decide, shared by its clients' sessions.
final class DecisionPoint {
    let rules: PolicyRules
    private let authenticator: Authenticator
    private let counters: any HitCounter

    init(rules: PolicyRules, authenticator: Authenticator, counters: any HitCounter) {
        self.rules = rules
        self.authenticator = authenticator
        self.counters = counters
    }

    func begin(nowUnixMilliseconds: Int64) -> Judgement {
        Judgement(evaluation: Evaluation(rules, nowUnixMilliseconds: nowUnixMilliseconds))
    }

    /// Judges a CHECK as far as that goes without waiting.
    ///
    /// - Parameters:
    ///   - payload: that of the CHECK, which `CheckMessage.parse` has accepted.
    ///   - receiver: who is told the count, where it takes time; with `ticket`.
    /// - Returns: nil where a count is under way: `judgement` is then to be kept, and ends in ``counted(_:ending:)``.
    func judge(
        _ payload: Span<UInt8>, in judgement: inout Judgement, receiver: any CountReceiver, ticket: UInt64
    ) -> Policy.Decision? {
        let (credentials, field) = Self.credentials(in: payload)
        var action = judgement.evaluation.start(credentials)
        while true {
            switch action {
            case .verify(let range):
                let value = field.bytes(in: payload)
                let now = judgement.evaluation.nowUnixMilliseconds
                switch authenticator.authenticate(value.extracting(range), nowUnixMilliseconds: now) {
                case .known(let token):
                    judgement.token = token
                    action = judgement.evaluation.verified(.verified(token.principal))
                case .refused(let reason): action = judgement.evaluation.verified(.refused(reason))
                }
            case .count(let principal):
                let keyPrefix = principal.counterKeyPrefix
                let outcome = counters.hit(
                    keyPrefix: keyPrefix.span, window: rules.window,
                    nowUnixMilliseconds: judgement.evaluation.nowUnixMilliseconds, receiver: receiver, ticket: ticket)
                guard case .done(let result) = outcome else { return nil }
                action = judgement.evaluation.counted(HitOutcome(result))
            case .decided(let decision): return settled(decision)
            }
        }
    }

    /// Ends a judgement that waited for its count.
    func counted(_ result: CountResult, ending judgement: inout Judgement) -> Policy.Decision {
        guard case .decided(let decision) = judgement.evaluation.counted(HitOutcome(result)) else {
            return rules.internalFailure
        }
        return settled(decision)
    }

    private func settled(_ decision: Policy.Decision) -> Policy.Decision {
        if let hit = decision.hitToGiveBack, let keyPrefix = decision.principal?.counterKeyPrefix {
            counters.giveBack(
                keyPrefix: keyPrefix.span, window: rules.window, number: hit.window, isFallback: hit.isFallback)
        }
        return decision
    }

    /// What the CHECK's `Authorization` fields hold, and where the value of the last one lies.
    private static func credentials(in payload: Span<UInt8>) -> (Credentials, FieldRange) {
        var field = FieldRange.empty
        var count = 0
        var position = 0
        while let header = CheckMessage.nextHeader(in: payload, from: &position) {
            let name = header.name.bytes(in: payload)
            guard name.equals("authorization") else { continue }
            count += 1
            field = header.value
        }
        guard count == 1 else { return (count == 0 ? .none : .repeated, field) }
        let value = field.bytes(in: payload)
        return (Credentials.read(value), field)
    }
}

extension HitOutcome {
    fileprivate init(_ result: CountResult) {
        switch result {
        case .counted(let counts, let number, let isFallback):
            self = .counted(counts, CountedHit(window: number, isFallback: isFallback))
        case .unavailable(let mode): self = .uncounted(isAllowed: mode == .allow)
        }
    }
}
