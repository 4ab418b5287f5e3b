import Logging
import Settings
import Synchronization
import Telemetry

/// Swaps the configuration of a running daemon, whole or not at all.
final class Reloader: Sendable {
    private let current: Mutex<Setup>
    private let workers: [DaemonWorker]
    private let registry: MetricRegistry
    private let readAgain: @Sendable () throws(InvalidConfiguration) -> DaemonConfiguration
    private let logger: Logger

    init(
        _ setup: Setup, workers: [DaemonWorker], registry: MetricRegistry,
        readAgain: @escaping @Sendable () throws(InvalidConfiguration) -> DaemonConfiguration, logger: Logger
    ) {
        current = Mutex(setup)
        self.workers = workers
        self.registry = registry
        self.readAgain = readAgain
        self.logger = logger
    }

    /// Reads the configuration and has every worker decide by it. What is being decided is decided by the one before.
    ///
    /// - Returns: nil, or why the old configuration stays.
    func reload() -> String? {
        current.withLock { current in
            do {
                let configuration = try readAgain()
                let setup = try Setup(
                    configuration, replacing: current, registry: registry, decisionLog: current.decisionLog, logger: logger)
                try setup.authentication.keeper.start()
                for worker in workers { Task(executorPreference: worker.loop) { await worker.adopt(setup) } }
                current.authentication.keeper.stop()
                let waiting = current.configuration.needsRestart(for: configuration)
                if !waiting.isEmpty { logger.warning("reloaded, but for what needs a restart: \(waiting.joined(separator: ", "))") }
                current = setup
                // All copies of the logger have one level. Said if it is worth a line by either of the two.
                var logger = logger
                logger.logLevel = min(configuration.logLevel, logger.logLevel)
                logger.notice("reloaded: \(configuration.rules.rules.count) rules, counting in \(configuration.place)")
                logger.logLevel = configuration.logLevel
                return nil
            } catch {
                logger.error("not reloaded, the configuration before is still in force:\n\(error)")
                return "\(error)"
            }
        }
    }

    /// `POST /reload`.
    var route: AdminRoute { .reload { [self] in reload() } }

    func stop() { current.withLock { $0.authentication.keeper.stop() } }
}
