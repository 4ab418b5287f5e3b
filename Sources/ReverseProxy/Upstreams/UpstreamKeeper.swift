import EventLoop
import Logging

/// Keeps what is known of the upstreams up to date: asks their endpoints how they are, and looks their names up again. One for the
/// process, with a loop and a thread of its own: an endpoint is asked as often as configured, however many workers there are.
actor UpstreamKeeper {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }

    private let upstreams: [UpstreamStatus]
    private let logger: Logger
    private let resolve: HostLookup.Resolver
    private var isOver = false

    /// The longest wait for a name server.
    private static let lookupMilliseconds: Int64 = 10_000

    /// - Returns: nil where there is nothing to keep.
    init?(_ upstreams: [UpstreamStatus], loop: EventLoop, logger: Logger, resolve: @escaping HostLookup.Resolver = SocketAddress.resolve) {
        let kept = upstreams.filter { $0.upstream.healthCheck != nil || $0.endpoints.contains { $0.endpoint.name != nil } }
        guard !kept.isEmpty else { return nil }
        self.upstreams = kept
        self.loop = loop
        self.logger = logger
        self.resolve = resolve
    }

    /// Returns after ``stop()``.
    func run() async {
        defer { loop.stop() }
        let lookup = HostLookup(by: resolve)
        await withDiscardingTaskGroup { tasks in
            for status in upstreams {
                for endpoint in status.endpoints {
                    if let rules = status.upstream.healthCheck {
                        tasks.addImmediateTask(executorPreference: loop) { await self.check(endpoint, of: status.upstream, by: rules) }
                    }
                    if let (host, port) = endpoint.endpoint.name {
                        tasks.addImmediateTask(executorPreference: loop) {
                            await self.locate(endpoint, at: host, port, of: status.upstream, by: lookup)
                        }
                    }
                }
            }
        }
    }

    func stop() {
        isOver = true
        loop.wakeAll()
    }

    private func check(_ endpoint: EndpointStatus, of upstream: Upstream, by rules: HealthCheckRules) async {
        let waiter = Waiter(loop: loop)
        var record = HealthRecord(rules)
        while !isOver {
            let fault = await HealthProbe(endpoint: endpoint, rules: rules).run(on: waiter, unless: { self.isOver })
            guard !isOver else { return }
            if record.note(passed: fault == nil) {
                endpoint.setHealthy(record.isHealthy, now: loop.nowMilliseconds)
                let name = "upstream \(upstream.name): \(endpoint.endpoint.url)"
                if let fault { logger.warning("\(name) is unhealthy: \(fault)") } else { logger.notice("\(name) is healthy again") }
            }
            await waiter.sleep(milliseconds: rules.intervalMilliseconds, unless: { self.isOver })
        }
    }

    /// Where nobody can say where it is, it is where it was.
    private func locate(_ endpoint: EndpointStatus, at host: String, _ port: Int, of upstream: Upstream, by lookup: HostLookup) async {
        let waiter = Waiter(loop: loop)
        var isLost = false
        while !isOver {
            await waiter.sleep(milliseconds: upstream.resolveMilliseconds, unless: { self.isOver })
            guard !isOver else { return }
            do throws(ResolutionError) {
                let addresses = try await lookup.addresses(
                    of: host, port: port, on: waiter, timeoutMilliseconds: Self.lookupMilliseconds, unless: { self.isOver })
                guard !addresses.isEmpty else { throw ResolutionError(host: host, reason: "it has no address") }
                isLost = false
                if endpoint.replaceAddresses(addresses) {
                    logger.notice("upstream \(upstream.name): \(host) is now at \(addresses.map(\.host).joined(separator: ", "))")
                }
            } catch {
                if !isLost, !isOver { logger.warning("upstream \(upstream.name): \(error); its last addresses hold") }
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
