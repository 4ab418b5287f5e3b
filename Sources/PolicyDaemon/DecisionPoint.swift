import Counters
import EventLoop
import Policy

/// Carries out what evaluations ask for: what one worker needs to decide under one configuration, shared by its clients'
/// sessions.
final class DecisionPoint: CountReceiver {
    let rules: PolicyRules
    private let authenticator: Authenticator
    private let counters: any HitCounter
    private let observer: any DecisionObserver
    private let workspace = Evaluation.Workspace()
    private let suspended: SuspendedJudgements

    /// - Parameter maximumWaiting: how many judgements may wait for the store. One more is denied.
    init(
        rules: PolicyRules, authenticator: Authenticator, counters: any HitCounter, observer: any DecisionObserver,
        maximumWaiting: Int = SuspendedJudgements.maximumCapacity
    ) {
        self.rules = rules
        self.authenticator = authenticator
        self.counters = counters
        self.observer = observer
        suspended = SuspendedJudgements(capacity: maximumWaiting)
    }

    /// How many judgements wait for something.
    var waitingCount: Int { suspended.count }

    /// Judges a request as far as that goes without waiting.
    ///
    /// - Parameters:
    ///   - receiver: who is told the decision, where it takes time; with `ticket`.
    /// - Returns: nil where something is under way; the receiver is told then, and never before this returns.
    func judge(
        _ request: borrowing RequestView, nowUnixMilliseconds: Int64, receiver: any DecisionReceiver, ticket: UInt64
    ) -> Decision? {
        var judgement = Judgement(
            Evaluation(rules, nowUnixMilliseconds: nowUnixMilliseconds, workspace: workspace), receiver, ticket,
            startNanoseconds: observer.isTimed ? Clock.monotonicNanoseconds() : 0)
        let action = judgement.evaluation.start(request)
        return carryOut(action, judgement, request)
    }

    /// Counts a request that is denied without a judgement, since its description could not be read.
    func noteMalformed() { observer.note(unjudged: rules.checkMalformed) }

    /// Returns nil where the judgement had to be suspended.
    private func carryOut(
        _ first: Evaluation.Action, _ judgement: consuming Judgement, _ request: borrowing RequestView
    ) -> Decision? {
        var action = first
        while true {
            // Taken over, not copied: each answer puts the next action in its place.
            switch consume action {
            case .decided(let decision):
                settle(decision)
                observer.note(decision, judgement, request)
                return decision
            case .authenticate(let credential):
                let (bytes, now) = (request.bytes.extracting(credential.range), judgement.evaluation.nowUnixMilliseconds)
                let known = authenticator.recall(bytes, credential.kind, nowUnixMilliseconds: now)
                observer.noteLookup(isHit: known != nil)
                let outcome = known.map(AuthenticationOutcome.verified)
                    ?? authenticator.authenticate(bytes, credential.kind, nowUnixMilliseconds: now)
                action = judgement.evaluation.authenticated(outcome, request)
            case .count(let counting):
                // Asked before anything is counted, which would be counted for nothing.
                guard suspended.hasRoom else {
                    action = judgement.evaluation.failed(request)
                    continue
                }
                count(counting, &judgement)
                guard judgement.awaited == 0 else {
                    let keepsRequest = judgement.evaluation.needsRequestAgain || observer.needsRequest
                    judgement.request = keepsRequest ? Request(copying: request) : nil
                    suspended.suspend(judgement)
                    return nil
                }
                action = judgement.resume(request)
            }
        }
    }

    private func count(_ counting: Counting, _ judgement: inout Judgement) {
        let revocationKeys = counting.revocationOf?.revocationKeys ?? []
        judgement.begin(counting, revocationKeyCount: revocationKeys.count)
        let now = judgement.evaluation.nowUnixMilliseconds
        let firstTicket = suspended.nextTicket
        for index in counting.hits.indices {
            let hit = counting.hits[index]
            let key = hit.key
            let outcome = counters.hit(
                key: key.span, quota: hit.quota, cost: hit.cost, nowUnixMilliseconds: now, receiver: self,
                ticket: firstTicket + UInt64(index))
            if case .done(let result) = outcome { judgement.note(self.outcome(result, of: hit, isAlone: counting.hits.count == 1), at: index) }
        }
        for index in revocationKeys.indices {
            let key = revocationKeys[index]
            let outcome = counters.revocation(
                of: key.span, receiver: self, ticket: firstTicket + UInt64(counting.hits.count + index))
            if case .done(let result) = outcome { _ = judgement.note(result, question: counting.hits.count + index) }
        }
    }

    /// Judges what was counted, and gives back at once what its own limit refuses.
    ///
    /// - Parameter isAlone: whether it is the only hit of its request.
    private func outcome(_ result: CountResult, of hit: Hit, isAlone: Bool) -> HitOutcome {
        switch result {
        case .counted(let state, let receipt):
            let status = hit.quota.judge(state, cost: hit.cost, nowUnixMilliseconds: receipt.unixMilliseconds)
            if !status.isAdmitted, hit.cost > 0 {
                let key = hit.key
                counters.giveBack(refused: key.span, quota: hit.quota, cost: hit.cost, receipt, status, isAlone: isAlone)
            }
            return .counted(status, receipt)
        case .knownOver(let until): return .knownOver(untilUnixMilliseconds: until)
        case .unavailable(let mode): return .uncounted(isAllowed: mode == .allow)
        }
    }

    private func settle(_ decision: Decision) {
        for index in decision.standings.indices {
            guard let receipt = decision.standings[index].toGiveBack else { continue }
            let hit = decision.standings[index].hit
            let key = hit.key
            counters.giveBack(key: key.span, quota: hit.quota, cost: hit.cost, receipt, overUntilUnixMilliseconds: nil)
        }
    }

    // MARK: Answers that took time

    func counted(ticket: UInt64, _ result: CountResult) {
        guard let (hit, isAlone) = suspended.hit(of: ticket) else { return }
        suspended.note(outcome(result, of: hit, isAlone: isAlone), for: ticket)
        resume(ticket)
    }

    func lookedUp(ticket: UInt64, _ result: RevocationResult) {
        if suspended.note(result, for: ticket) { resume(ticket) }
    }

    /// Lent where the request isn't looked at again.
    private static let nothing = Request()

    private func resume(_ ticket: UInt64) {
        guard var judgement = suspended.takeAnswered(ticket) else { return }
        let (receiver, ticket) = (judgement.receiver, judgement.ticket)
        let kept = judgement.request ?? Self.nothing
        let request = kept.view
        let action = judgement.resume(request)
        if let decision = carryOut(action, judgement, request) { receiver.decided(decision, ticket: ticket) }
    }
}

/// Who is told of every decision.
protocol DecisionObserver: AnyObject {
    /// Whether it wants to know how long they took.
    var isTimed: Bool { get }
    /// Whether it looks at requests.
    var needsRequest: Bool { get }

    func note(_ decision: Decision, _ judgement: borrowing Judgement, _ request: borrowing RequestView)
    /// Told of a denial without a judgement.
    func note(unjudged decision: Decision)
    /// Told of each credential that was looked up among those found good before.
    func noteLookup(isHit: Bool)
}
