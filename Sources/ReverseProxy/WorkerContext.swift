import Bytes
import EventLoop
import HTTPMessage
import Logging
import PolicyClient
import Synchronization

/// What all workers share: the configuration and what was made of it at start.
struct ProxySetup: Sendable {
    let configuration: ProxyConfiguration
    /// Each upstream once, whatever number of routes leads to it.
    let upstreams: [UpstreamStatus]
    let policyEndpoints: [PolicyClient.Endpoint]
    let logWriter: LogWriter
    let logger: Logger
    let connections: ConnectionCount
}

/// How many client connections the process holds.
final class ConnectionCount: Sendable {
    private let count = Atomic(0)
    private let maximum: Int

    init(maximum: Int) { self.maximum = maximum }

    var hasRoom: Bool { count.load(ordering: .relaxed) < maximum }
    func add() { count.add(1, ordering: .relaxed) }
    func remove() { count.subtract(1, ordering: .relaxed) }
}

/// What one worker owns: touched on its loop only.
final class WorkerContext {
    let setup: ProxySetup
    let configuration: ProxyConfiguration
    let loop: EventLoop
    let logger: Logger
    let policy: PolicyClient
    let routes: RouteTable
    let upstreams: [UpstreamService]
    /// The upstream of each route, at the route's index.
    let routeUpstreams: [UpstreamService]
    /// How long the requests of each route may wait, at the route's index.
    let routeWaits: [WaitLimits]
    let accessLog: AccessLog
    let date: HTTPDate
    let policyOutage: PolicyOutage
    let limits: HeadLimits

    /// No new request is begun; what is in flight is finished.
    var isDraining = false
    /// When what is still in flight is cut off, in the loop's milliseconds.
    var drainDeadline = Int64.max
    /// Everything is served: the background tasks end.
    var isOver = false

    private var spareExchanges: [Exchange] = []
    private var ownedNames: (session: PolicySession, names: NameSet)?

    private static let maximumSpareExchanges = 256
    private static let sweepMilliseconds: Int64 = 1000

    init(_ setup: ProxySetup, loop: EventLoop) {
        self.setup = setup
        self.loop = loop
        configuration = setup.configuration
        logger = setup.logger
        var policyConfiguration = PolicyClient.Configuration(name: "gatehouse-proxy")
        policyConfiguration.deadlineMilliseconds = configuration.policyDeadlineMilliseconds
        policy = PolicyClient(setup.policyEndpoints, configuration: policyConfiguration, loop: loop, logger: setup.logger)
        routes = RouteTable(configuration.routes)
        let upstreams = setup.upstreams.map { UpstreamService($0, configuration: setup.configuration, loop: loop) }
        self.upstreams = upstreams
        routeUpstreams = configuration.routes.compactMap { route in upstreams.first { $0.upstream.name == route.upstream.name } }
        let timeouts = configuration.timeouts
        routeWaits = configuration.routes.map { WaitLimits($0, timeouts) }
        accessLog = AccessLog(setup.logWriter, format: configuration.logFormat, loop: loop)
        date = HTTPDate(loop: loop)
        policyOutage = PolicyOutage(loop: loop, logger: setup.logger)
        var limits = HeadLimits()
        limits.requestLineBytes = configuration.limits.requestLineBytes
        limits.headerBytes = configuration.limits.headerBytes
        limits.headerCount = configuration.limits.headerCount
        self.limits = limits
    }

    /// An exchange's state, used again from request to request so that none of it is allocated for each.
    func takeExchange() -> Exchange { spareExchanges.popLast() ?? Exchange(in: self) }

    func giveBack(_ exchange: Exchange) {
        exchange.input.clear()
        if spareExchanges.count < Self.maximumSpareExchanges, exchange.isSmall { spareExchanges.append(exchange) }
    }

    /// The names that no client may bring, by the daemon that was asked.
    func ownedNames(of session: PolicySession) -> NameSet {
        if let ownedNames, ownedNames.session === session { return ownedNames.names }
        let names = NameSet(session.hello.ownedHeaders)
        ownedNames = (session, names)
        return names
    }

    func sweepRegularly() async {
        let waiter = Waiter(loop: loop)
        while !isOver {
            await waiter.sleep(milliseconds: Self.sweepMilliseconds, unless: { self.isOver })
            for upstream in upstreams { upstream.sweep(now: loop.nowMilliseconds) }
            if isDraining, loop.nowMilliseconds >= drainDeadline { loop.wakeAll() }
        }
    }

    /// Whether a drain has lasted as long as it may.
    var isDrainOver: Bool { isDraining && loop.nowMilliseconds >= drainDeadline }

    /// Ends the background tasks: every exchange is done.
    func end() {
        isOver = true
        policy.stop()
        accessLog.stop()
        for upstream in upstreams { upstream.closeAll() }
        loop.wakeAll()
    }
}
