import EventLoop
import Logging

/// Keeps what is known of the upstreams up to date: asks their endpoints how they are, and looks their names up again. One for the
/// process, with a loop and a thread of its own: an endpoint is asked as often as configured, however many workers there are.
actor UpstreamKeeper {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }

    /// Those that are kept.
    private var upstreams: [UpstreamStatus]
    private let logger: Logger
    private let lookup: HostLookup
    private var isOver = false

    /// The longest wait for a name server.
    private static let lookupMilliseconds: Int64 = 10_000

    init(_ upstreams: [UpstreamStatus], loop: EventLoop, logger: Logger, resolve: @escaping HostLookup.Resolver = SocketAddress.resolve) {
        self.upstreams = upstreams
        self.loop = loop
        self.logger = logger
        lookup = HostLookup(by: resolve)
    }

    /// Returns after ``stop()``.
    func run() async {
        defer { loop.stop() }
        let waiter = Waiter(loop: loop)
        var begun: [UpstreamStatus] = []
        await withDiscardingTaskGroup { tasks in
            while !isOver {
                for status in upstreams where !begun.contains(where: { $0 === status }) { begin(status, in: &tasks) }
                begun = upstreams
                await waiter.park()
            }
        }
    }

    /// Keeps these from now on, and no others.
    func adopt(_ upstreams: [UpstreamStatus]) {
        self.upstreams = upstreams
        loop.wakeAll()
    }

    func stop() {
        isOver = true
        adopt([])
    }

    private func keeps(_ status: UpstreamStatus) -> Bool { upstreams.contains { $0 === status } }

    private func begin(_ status: UpstreamStatus, in tasks: inout DiscardingTaskGroup) {
        for endpoint in status.endpoints {
            if let rules = status.upstream.healthCheck {
                tasks.addImmediateTask(executorPreference: loop) { await self.check(endpoint, of: status, by: rules) }
            }
            if let (host, port) = endpoint.endpoint.name {
                tasks.addImmediateTask(executorPreference: loop) { await self.locate(endpoint, at: host, port, of: status) }
            }
        }
    }

    private func check(_ endpoint: EndpointStatus, of status: UpstreamStatus, by rules: HealthCheckRules) async {
        let waiter = Waiter(loop: loop)
        var record = HealthRecord(rules)
        while keeps(status) {
            let probe = HealthProbe(endpoint: endpoint, rules: rules, proxyHeader: status.upstream.proxyHeader)
            do throws(ConnectFailure) {
                let fault = try await probe.run(on: waiter, unless: { !self.keeps(status) })
                guard keeps(status) else { return }
                if record.note(passed: fault == nil) { tell(of: endpoint, record.isHealthy, fault, of: status) }
            } catch {
                // It could not be asked, so what was known of it still holds.
            }
            await waiter.sleep(milliseconds: rules.intervalMilliseconds, unless: { !self.keeps(status) })
        }
    }

    private func tell(of endpoint: EndpointStatus, _ isHealthy: Bool, _ fault: String?, of status: UpstreamStatus) {
        endpoint.setHealthy(isHealthy, now: loop.nowMilliseconds)
        let name = "upstream \(status.upstream.name): \(endpoint.endpoint.url)"
        if let fault { logger.warning("\(name) is unhealthy: \(fault)") } else { logger.notice("\(name) is healthy again") }
    }

    /// Where nobody can say where it is, it is where it was.
    private func locate(_ endpoint: EndpointStatus, at host: String, _ port: Int, of status: UpstreamStatus) async {
        let waiter = Waiter(loop: loop)
        var isLost = false
        while keeps(status) {
            await waiter.sleep(milliseconds: status.upstream.resolveMilliseconds, unless: { !self.keeps(status) })
            guard keeps(status) else { return }
            do throws(ResolutionError) {
                let addresses = try await lookup.addresses(
                    of: host, port: port, on: waiter, timeoutMilliseconds: Self.lookupMilliseconds, unless: { !self.keeps(status) })
                guard !addresses.isEmpty else { throw ResolutionError(host: host, reason: "it has no address") }
                isLost = false
                if endpoint.replaceAddresses(addresses) {
                    logger.notice("upstream \(status.upstream.name): \(host) is now at \(addresses.map(\.host).joined(separator: ", "))")
                }
            } catch {
                if !isLost, keeps(status) { logger.warning("upstream \(status.upstream.name): \(error); its last addresses hold") }
                isLost = true
            }
        }
    }
}

extension Endpoint {
    /// The host name that has to be looked up, with its port; nil for an address or a socket.
    fileprivate var name: (host: String, port: Int)? {
        guard case .tcp(let host, let port) = place, !HostLookup.isAddress(host) else { return nil }
        return (host, port)
    }
}
