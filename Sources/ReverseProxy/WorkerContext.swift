import Bytes
import EventLoop
import HTTPMessage
import Logging
import PolicyClient
import Synchronization
import TLS
import Telemetry

/// What all workers share: the configuration, what was made of it, and what stays from one to the next.
struct ProxySetup: Sendable {
    let configuration: ProxyConfiguration
    /// Each upstream once, whatever number of routes leads to it.
    let upstreams: [UpstreamStatus]
    let policyEndpoints: [PolicyClient.Endpoint]
    let logWriter: LogWriter
    let logger: Logger
    /// Client connections.
    let connections: SharedCount
    /// Requests of HTTP/2, of which a connection may have many.
    let streams: SharedCount
    /// Nil where nobody has looked at metrics yet. Of a setup that is not in force yet, its metrics are those of the one before.
    private(set) var observation: ProxyObservation?
    /// How many workers there are, whatever the configuration says of it by now.
    let workerCount: Int

    /// The same process under another configuration.
    ///
    /// Its metrics are to be declared when nothing else can fail (``declareMetrics()``).
    ///
    /// - Throws: where the address of an upstream can't be found, a policy socket's path is too long, or there are too many metrics.
    func replaced(by configuration: ProxyConfiguration) throws -> ProxySetup {
        let upstreams = try UpstreamStatus.all(in: configuration, keeping: upstreams, logger: logger)
        return ProxySetup(
            configuration: configuration, upstreams: upstreams, policyEndpoints: try configuration.policyEndpoints,
            logWriter: logWriter, logger: logger, connections: connections, streams: streams,
            observation: try observation
                ?? ProxyObservation.ofThose(whoLookBy: configuration, workers: workerCount, upstreams, logWriter),
            workerCount: workerCount)
    }

    /// - Throws: where there are too many.
    mutating func declareMetrics() throws(UnfitMetrics) { try observation?.declare(configuration, upstreams, logWriter) }

    /// How to ask the policy daemons.
    var policyClient: PolicyClient.Configuration {
        var client = PolicyClient.Configuration(name: "gatehouse-proxy")
        client.deadlineMilliseconds = configuration.policyDeadlineMilliseconds
        return client
    }

    /// Whether the policy daemons are asked otherwise than before.
    func asksOtherwise(than former: ProxySetup) -> Bool {
        configuration.policySockets != former.configuration.policySockets
            || configuration.policyDeadlineMilliseconds != former.configuration.policyDeadlineMilliseconds
    }
}

extension ProxyConfiguration {
    /// The policy daemons' sockets.
    var policyEndpoints: [PolicyClient.Endpoint] {
        get throws(SystemError) {
            var endpoints: [PolicyClient.Endpoint] = []
            for path in policySockets { endpoints.append(try PolicyClient.Endpoint(socketPath: path)) }
            return endpoints
        }
    }
}

/// How many of something the whole process holds at once.
final class SharedCount: Sendable {
    private let count = Atomic(0)
    private let maximum: Atomic<Int>

    init(maximum: Int) { self.maximum = Atomic(maximum) }

    var hasRoom: Bool { count.load(ordering: .relaxed) < maximum.load(ordering: .relaxed) }
    /// Where there are more already, none of them is closed for it.
    func setMaximum(_ maximum: Int) { self.maximum.store(maximum, ordering: .relaxed) }
    /// Adds one where there is room.
    func take() -> Bool {
        guard count.add(1, ordering: .relaxed).newValue > maximum.load(ordering: .relaxed) else { return true }
        remove()
        return false
    }
    func add() { count.add(1, ordering: .relaxed) }
    func remove() { count.subtract(1, ordering: .relaxed) }
}

/// One configuration on one worker: touched on its loop only. A reload puts another in its place (``WorkerState/adopt(_:)``);
/// an exchange keeps the one that it was begun under.
final class WorkerContext {
    let state: WorkerState
    let setup: ProxySetup
    let configuration: ProxyConfiguration
    let loop: EventLoop
    let policy: PolicyClient
    let routes: RouteTable
    let upstreams: [UpstreamService]
    /// The upstream of each route, at the route's index.
    let routeUpstreams: [UpstreamService]
    /// How long the requests of each route may wait, at the route's index.
    let routeWaits: [WaitLimits]
    let accessLog: AccessLog
    let date: HTTPDate
    let policyOutage: RepeatedWarning
    let limits: HeadLimits
    /// Names that the proxy writes itself, so that none of a client's or an upstream's own goes on beside it.
    let writtenRequestNames: NameSet
    let writtenResponseNames: NameSet
    /// Nil where nobody looks at them.
    let metrics: ProxyMetrics?
    /// Whether the log's lines show the host, the referer and the user agent.
    let logsDetails: Bool
    /// Whether there is a log, or anybody looks at metrics.
    let isObserved: Bool
    /// Whether anybody wants to know how long the policy and the upstream take.
    let isTimed: Bool
    /// Whether any upstream is told where clients connected to.
    let tellsDestinations: Bool
    /// Whether another configuration has taken the place of this one.
    private(set) var isRetired = false

    private let spareExchanges = Spares<Exchange>(maximum: 1024, lasting: 64)

    init(_ setup: ProxySetup, _ state: WorkerState) {
        self.setup = setup
        self.state = state
        loop = state.loop
        policy = state.policy
        date = state.date
        policyOutage = state.policyOutage
        configuration = setup.configuration
        routes = RouteTable(configuration.routes)
        let upstreams = setup.upstreams.map { UpstreamService($0, configuration: setup.configuration, loop: state.loop, queue: state.newSessions) }
        self.upstreams = upstreams
        routeUpstreams = configuration.routes.compactMap { route in upstreams.first { $0.upstream.name == route.upstream.name } }
        let timeouts = configuration.timeouts
        routeWaits = configuration.routes.map { WaitLimits($0, timeouts) }
        accessLog = AccessLog(state.logLines, format: configuration.logFormat, loop: loop)
        tellsDestinations = upstreams.contains { $0.upstream.proxyHeader != .none }
        let traceNames = configuration.traceContext == .off ? [] : ["traceparent", "tracestate"]
        writtenResponseNames = NameSet(configuration.requestIDs == .off ? [] : ["x-request-id"])
        writtenRequestNames = NameSet((configuration.requestIDs == .off ? [] : ["x-request-id"]) + traceNames)
        metrics = configuration.admin == nil ? nil : setup.observation?.metrics
        logsDetails = accessLog.wantsDetails
        isObserved = !accessLog.isOff || metrics != nil
        isTimed = configuration.logFormat == .json || metrics != nil
        limits = configuration.headLimits
    }

    /// An exchange's state, used again from request to request so that none of it is allocated for each.
    func takeExchange() -> Exchange { spareExchanges.take() ?? Exchange(in: self) }

    func giveBack(_ exchange: Exchange) {
        exchange.input.clear()
        guard !isRetired, exchange.isSmall else { return }
        _ = spareExchanges.give(exchange)
    }

    /// Writes an exchange's line of the access log.
    func log(_ exchange: Exchange, _ client: ClientConnection, nanoseconds: Int64) {
        accessLog.write(exchange, client, nanoseconds: nanoseconds)
    }

    /// The place of the route that a request went to, or would have gone to, had it been let.
    func route(of record: AccessRecord) -> Int? {
        let text = record.text
        return record.routeIndex ?? routes.match(record.path.bytes(in: text.bytes))
    }

    func sweep() {
        for upstream in upstreams { upstream.sweep(now: loop.nowMilliseconds) }
        _ = spareExchanges.takeSurplus()
        showIdleConnections()
    }

    private func showIdleConnections() {
        guard let metrics, let worker = state.workerMetrics else { return }
        for (index, upstream) in upstreams.enumerated() { metrics.setIdleConnections(upstream.idleCount, upstream: index, in: worker) }
    }

    /// No new request is begun; what is in flight is finished.
    var isDraining: Bool { state.isDraining }

    var handshakes: HandshakeTurns { state.handshakes }

    /// Whether a drain has lasted as long as a connection without a request may wait for one.
    var isDrainIdleOver: Bool { state.isDrainIdleOver }

    /// Whether a drain has lasted as long as it may.
    var isDrainOver: Bool { state.isDraining && loop.nowMilliseconds >= state.drainDeadline }

    /// No request is begun under this configuration any more: lets go of what is kept for the next one.
    func retire() {
        isRetired = true
        // They hold this context, as it holds them.
        _ = spareExchanges.takeAll()
        for upstream in upstreams { upstream.retire() }
        showIdleConnections()
    }
}
