import Bytes
import EventLoop
import HTTPMessage

/// An upstream as one worker sees it: the connections to its endpoints, whose turn it is, and who waits for theirs.
final class UpstreamService {
    let upstream: Upstream
    let status: UpstreamStatus
    /// One for each endpoint, at its place.
    let pools: [UpstreamPool]
    /// Times that one request may be sent again.
    let maximumRetries: Int
    /// Whether a request may be refused, or made to wait, before an endpoint is chosen.
    let isGuarded: Bool
    private let hashKey: Balancing.HashKey?
    private let mayLeaveOut: Bool
    private var balancer: Balancer
    private var candidates: [Balancer.Candidate]
    private var budget: RetryBudget
    private let line: WaitingLine?

    init(_ status: UpstreamStatus, configuration: ProxyConfiguration, loop: EventLoop, queue: SessionQueue) {
        let upstream = status.upstream
        self.upstream = upstream
        self.status = status
        pools = status.endpoints.map { UpstreamPool($0, configuration: configuration, queue: queue) }
        maximumRetries = upstream.retries.maximum
        isGuarded = upstream.limit != nil || upstream.circuitBreaker != nil
        hashKey = if case .hash(let key) = upstream.balancing { key } else { nil }
        mayLeaveOut = pools.count > 1 || upstream.healthCheck != nil || upstream.ejection != nil
        balancer = Balancer(upstream)
        candidates = pools.map { _ in Balancer.Candidate(weight: 0) }
        budget = RetryBudget(upstream.retries, workerCount: configuration.workers)
        line = upstream.limit.map { WaitingLine(before: status, milliseconds: $0.queueMilliseconds, loop: loop) }
    }

    // MARK: Whose turn it is

    /// The endpoint for a request, or for its next try.
    ///
    /// - Parameters:
    ///   - tried: those that this request has tried in vain.
    ///   - mayRepeat: whether one of those has it again where there is no other.
    ///   - key: what the request is known by, where ``Balancing`` asks for that.
    /// - Returns: nil where there is none left.
    func choose(excluding tried: EndpointSet, mayRepeat: Bool, key: UInt64?, now: Int64) -> Int? {
        guard mayLeaveOut else { return tried.isEmpty || mayRepeat ? 0 : nil }
        if let index = choose(excluding: tried, key: key, now: now) { return index }
        return mayRepeat ? choose(excluding: EndpointSet(), key: key, now: now) : nil
    }

    private func choose(excluding tried: EndpointSet, key: UInt64?, now: Int64) -> Int? {
        for (index, endpoint) in status.endpoints.enumerated() {
            candidates[index].weight = tried.contains(index) ? 0 : endpoint.weight(now: now)
            candidates[index].requests = pools[index].requestCount
        }
        return balancer.choose(among: candidates, key: key)
    }

    /// What the request is known by, hashed. Nil where it has no such thing, or nobody asks for it.
    func hashKey(of exchange: Exchange) -> UInt64? {
        switch hashKey {
        case nil: return nil
        case .subject?:
            guard let subject = exchange.check.verdict?.subject, !subject.isEmpty else { return nil }
            let payload = exchange.check.payload
            return KeyHash.of(subject.bytes(in: payload.bytes))
        case .header(let wanted)?:
            let input = exchange.input
            let bytes = input.bytes
            for field in exchange.head.fields where field.name.bytes(in: bytes).equalsIgnoringCase(wanted.span) {
                return KeyHash.of(field.value.bytes(in: bytes))
            }
            return nil
        }
    }

    // MARK: What may be sent again

    /// A request begins, that may be sent again.
    func noteRequest(now: Int64) {
        if maximumRetries > 0 { budget.noteRequest(now: now) }
    }

    /// Whether the budget lets one be sent again; it counts as that.
    func takeRetry(now: Int64) -> Bool { budget.take(now: now) }

    /// Whether an answer with this status may count as none.
    func retries(_ status: UInt16) -> Bool { upstream.retries.statuses.contains(status) }

    // MARK: Whether a request goes there at all

    enum Entrance {
        /// The request goes there, and ``leave()`` is called when it has ended. Tell the breaker how, where there is a pass.
        case admitted(CircuitBreaker.Pass?)
        /// The circuit is open, or probes: worth trying again after so many milliseconds.
        case circuitOpen(retryAfterMilliseconds: Int64)
        /// The line is full, or hasn't moved in time.
        case overloaded
        /// There is nobody to go for any more.
        case clientGone
        case drainOver
    }

    /// Asks the breaker and waits in line, no longer than until `deadline`.
    func enter(_ client: ClientConnection, until deadline: Int64) async -> Entrance {
        let loop = client.worker.loop
        // First of all: while it is open, nobody waits in line.
        if let wait = status.breakerRefusal(now: loop.nowMilliseconds) { return .circuitOpen(retryAfterMilliseconds: wait) }
        if let line, let refusal = await line.enter(client, until: deadline) { return refusal }
        switch status.passBreaker(now: loop.nowMilliseconds) {
        case nil: return .admitted(nil)
        case .admitted(let pass)?: return .admitted(pass)
        case .refused(let wait)?:
            line?.leave()
            return .circuitOpen(retryAfterMilliseconds: wait)
        }
    }

    /// A request that was admitted is no longer there.
    func leave() { line?.leave() }

    // MARK: Its connections

    /// How many are kept unused.
    var idleCount: Int { pools.reduce(0) { $0 + $1.idleCount } }

    func sweep(now: Int64) {
        for pool in pools { pool.sweep(now: now) }
    }

    /// Keeps no connection from now on.
    func retire() {
        for pool in pools { pool.retire() }
    }
}
