import Bytes
import EventLoop
import Policy
import Telemetry

/// Counts and logs one worker's decisions.
final class WorkerObserver: DecisionObserver {
    /// Those of the present configuration.
    let metrics: DaemonMetrics
    let worker: WorkerMetrics
    private let log: DecisionLog?
    let isTimed: Bool

    /// - Parameter isTimed: whether anybody wants to know how long decisions take.
    init(_ metrics: DaemonMetrics, _ worker: WorkerMetrics, log: DecisionLog?, isTimed: Bool) {
        self.metrics = metrics
        self.worker = worker
        self.log = log
        self.isTimed = isTimed || log != nil
    }

    var needsRequest: Bool { log != nil }

    func note(unjudged decision: Decision) { metrics.count(decision, in: worker) }

    func noteLookup(isHit: Bool) { metrics.countLookup(isHit: isHit, in: worker) }

    func note(_ decision: Decision, _ judgement: borrowing Judgement, _ request: borrowing RequestView) {
        metrics.count(decision, in: worker)
        guard isTimed else { return }
        let duration = Clock.monotonicNanoseconds() - judgement.startNanoseconds
        worker.observe(nanoseconds: duration, in: metrics.durations)
        guard let log, log.wants(isAllowed: decision.denial == nil) else { return }
        let limits = decision.standings.compactMap { standing in
            standing.status.map { LoggedDecision.Limit(name: standing.hit.limit.name, limit: $0.limit, remaining: $0.remaining) }
        }
        let subject = decision.known?.identity.subject ?? []
        log.write(
            LoggedDecision(
                isAllowed: decision.denial == nil, reason: decision.reasonText, status: decision.denial?.status,
                rule: decision.rule?.name, limits: limits, certificate: request.certificate(.fingerprint)?.string,
                durationNanoseconds: duration),
            method: request.method, host: request.authority, target: request.path, client: request.clientAddress,
            subject: subject.span)
    }
}
