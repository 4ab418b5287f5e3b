import Logging
import Synchronization
import TLS

/// What all workers share of one upstream: how its endpoints are, and whether a request may go there at all. An endpoint that fails,
/// fails whatever worker asks it, and limits are for the upstream's good: so they count what all workers do.
final class UpstreamStatus: Sendable {
    let upstream: Upstream
    let endpoints: [EndpointStatus]
    private let logger: Logger
    private let ejection: Mutex<Ejection?>
    private let breaker: Mutex<CircuitBreaker?>
    private let line: Mutex<RequestLine?>
    private let callers = Mutex<[@Sendable () -> Void]>([])

    init(_ upstream: Upstream, endpoints: [EndpointStatus], logger: Logger) {
        self.upstream = upstream
        self.endpoints = endpoints
        self.logger = logger
        ejection = Mutex(upstream.ejection.map { Ejection($0, endpointCount: endpoints.count) })
        breaker = Mutex(upstream.circuitBreaker.map { CircuitBreaker($0) })
        line = Mutex(upstream.limit.map { RequestLine($0) })
    }

    /// - Throws: where the address of an endpoint can't be found.
    convenience init(resolving upstream: Upstream, logger: Logger) throws {
        let context = try upstream.secureContext()
        if let context, !context.verifiesServer {
            logger.warning("upstream \(upstream.name): no certificate is verified (tls: verify: false), so whoever stands in between can read and change everything")
        }
        let endpoints = try upstream.endpoints.map { endpoint in
            EndpointStatus(
                endpoint, addresses: try endpoint.resolve(), slowStartMilliseconds: upstream.slowStartMilliseconds,
                security: context.flatMap { upstream.security(of: endpoint, $0, logger: logger) })
        }
        self.init(upstream, endpoints: endpoints, logger: logger)
    }

    /// The status of each upstream that routes lead to.
    ///
    /// - Parameter known: those of the configuration before; what has not changed stays as it is.
    static func all(in configuration: ProxyConfiguration, keeping known: [UpstreamStatus] = [], logger: Logger) throws -> [UpstreamStatus] {
        try configuration.routedUpstreams.map { upstream in
            try known.first { $0.upstream == upstream } ?? UpstreamStatus(resolving: upstream, logger: logger)
        }
    }

    // MARK: Ejection

    /// Notes how a request to one endpoint ended.
    func note(_ outcome: UpstreamOutcome, at index: Int, now: Int64) {
        guard let rules = upstream.ejection else { return }
        switch outcome.counted(countingServerErrors: rules.countsServerErrors) {
        case .unknown: break
        case .succeeded:
            // Where nothing has failed, nothing need be forgotten.
            guard endpoints[index].hasFailed else { return }
            ejection.withLock { ejection in
                ejection?.succeeded(index)
                endpoints[index].hasFailed = false
            }
        case .failed:
            let until = ejection.withLock { ejection in
                endpoints[index].hasFailed = true
                return ejection?.failed(index, now: now)
            }
            guard let until else { return }
            endpoints[index].eject(until: until)
            logger.warning("upstream \(upstream.name): \(endpoints[index].endpoint.url) is left out for \(until - now) ms: \(rules.consecutiveFailures) requests failed there in a row")
        }
    }

    // MARK: The circuit breaker

    /// Nil where there is none.
    var breakerState: CircuitBreaker.State? { breaker.withLock { $0?.state } }

    /// How long a request would be refused, in milliseconds; nil where it would not be.
    func breakerRefusal(now: Int64) -> Int64? { breaker.withLock { $0?.refusal(now: now) } }

    /// Nil where there is no breaker.
    func passBreaker(now: Int64) -> CircuitBreaker.Admission? {
        guard let (admission, change) = breaker.withLock({ $0?.admit(now: now) }) else { return nil }
        log(change, now)
        return admission
    }

    func breakerEnded(_ pass: CircuitBreaker.Pass, _ outcome: UpstreamOutcome, now: Int64) {
        guard let rules = upstream.circuitBreaker else { return }
        let outcome = outcome.counted(countingServerErrors: rules.countsServerErrors)
        log(breaker.withLock { $0?.ended(pass, outcome, now: now) }, now)
    }

    private func log(_ change: CircuitBreaker.State?, _ now: Int64) {
        switch change {
        case nil: break
        case .closed?: logger.notice("upstream \(upstream.name): circuit closed")
        case .halfOpen?: logger.notice("upstream \(upstream.name): circuit half open, one request goes through")
        case .open(let until)?: logger.warning("upstream \(upstream.name): circuit open for \(until - now) ms, too many requests failed")
        }
    }

    // MARK: The line

    /// Requests that are with the upstream, and those that wait for that. Nil where nobody counts them.
    var requestCounts: (active: Int, waiting: Int)? { line.withLock { $0.map { ($0.count, $0.waitingCount) } } }

    /// A worker takes part.
    ///
    /// - Parameter call: has the worker let its first waiting request go; called from any thread.
    /// - Returns: what the worker is called here.
    func join(calling call: @escaping @Sendable () -> Void) -> Int {
        callers.withLock { callers in
            callers.append(call)
            return callers.count - 1
        }
    }

    /// Nil where there is no limit.
    func enterLine(from worker: Int) -> RequestLine.Answer? { line.withLock { $0?.enter(from: worker) } }

    /// - Returns: whether it is the turn of a request of `worker` itself. Another worker is called.
    func leaveLine(_ worker: Int) -> Bool {
        guard let next = line.withLock({ $0?.leave() }) else { return false }
        if next == worker { return true }
        callers.withLock { $0[next] }()
        return false
    }

    /// See ``RequestLine/giveUp(_:)``.
    func giveUpLine(_ worker: Int) -> Bool { line.withLock { $0?.giveUp(worker) } ?? true }
}

/// How a request to an upstream ended, as far as the upstream is concerned.
enum UpstreamOutcome {
    /// By nobody's fault, or by the client's.
    case unknown
    case succeeded
    /// It answered with a status of 500 to 599.
    case serverError
    /// No connection, or one that broke off, or no answer in time, or one that is malformed.
    case failed

    func counted(countingServerErrors: Bool) -> CircuitBreaker.Outcome {
        switch self {
        case .unknown: .unknown
        case .succeeded: .succeeded
        case .serverError: countingServerErrors ? .failed : .succeeded
        case .failed: .failed
        }
    }
}

extension Upstream {
    /// Reads the files that TLS with its endpoints needs; nil where none is spoken to so.
    func secureContext() throws(TLSFailure) -> TLSContext? {
        guard endpoints.contains(where: \.isSecure) else { return nil }
        do { return try TLSContext(client: tls.client) } catch { throw TLSFailure("upstream \(name): \(error)") }
    }

    fileprivate func security(of endpoint: Endpoint, _ context: TLSContext, logger: Logger) -> EndpointSecurity? {
        guard endpoint.isSecure, case .tcp(let host, _) = endpoint.place else { return nil }
        return EndpointSecurity(tls.serverName ?? host, context, endpoint, logger: logger)
    }
}
