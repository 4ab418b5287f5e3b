import Logging
import Settings
import Synchronization
import TLS
import Telemetry

/// Swaps the configuration of a running proxy, whole or not at all.
final class ProxyReloader: Sendable {
    private let current: Mutex<ProxySetup>
    private let workers: [ProxyWorker]
    private let keeper: UpstreamKeeper
    private let watch: CertificateWatch?
    private let readAgain: @Sendable () throws(InvalidConfiguration) -> ProxyConfiguration
    private let logger: Logger

    init(
        _ setup: ProxySetup, workers: [ProxyWorker], keeper: UpstreamKeeper, watch: CertificateWatch?,
        readAgain: @escaping @Sendable () throws(InvalidConfiguration) -> ProxyConfiguration, logger: Logger
    ) {
        current = Mutex(setup)
        self.workers = workers
        self.keeper = keeper
        self.watch = watch
        self.readAgain = readAgain
        self.logger = logger
    }

    /// Reads the configuration and has every worker begin requests under it. What is in flight is finished under the one before.
    ///
    /// - Returns: nil, or why the old configuration stays.
    func reload() -> String? {
        current.withLock { current in
            do {
                let configuration = try readAgain()
                let setup = try current.replaced(by: configuration)
                if configuration.accessLogPath != current.configuration.accessLogPath {
                    try setup.logWriter.move(to: configuration.accessLogPath)
                }
                for worker in workers { Task(executorPreference: worker.loop) { await worker.adopt(setup) } }
                Task(executorPreference: keeper.loop) { [keeper] in await keeper.adopt(setup.upstreams) }
                watch?.lookNow()
                setup.connections.setMaximum(configuration.limits.connections)
                setup.streams.setMaximum(configuration.limits.mostRequests)
                let waiting = current.configuration.needsRestart(for: configuration)
                if !waiting.isEmpty { logger.warning("reloaded, but for what needs a restart: \(waiting.joined(separator: ", "))") }
                current = setup
                logger.notice("reloaded: \(configuration.routes.count) routes")
                return nil
            } catch {
                logger.error("not reloaded, the configuration before is still in force:\n\(error)")
                return "\(error)"
            }
        }
    }

    /// `POST /reload`.
    var route: AdminRoute { .reload { [self] in reload() } }
}

extension ProxyConfiguration {
    /// What a running proxy doesn't take over from another configuration.
    fileprivate func needsRestart(for other: ProxyConfiguration) -> [String] {
        var options: [String] = []
        if host != other.host { options.append("host") }
        if port != other.port { options.append("port") }
        if listeners != other.listeners { options.append("listeners") }
        if workers != other.workers { options.append("workers") }
        if policySockets != other.policySockets { options.append("policy_sockets") }
        if policyDeadlineMilliseconds != other.policyDeadlineMilliseconds { options.append("policy_deadline_milliseconds") }
        if admin != other.admin { options.append("admin.listen") }
        if logLevel != other.logLevel { options.append("log_level") }
        return options
    }
}
