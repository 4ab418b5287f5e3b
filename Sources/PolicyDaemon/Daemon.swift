import Counters
import EventLoop
import Logging
import Policy

/// The policy daemon: answers on its socket, for every request, *allow or deny, and as whom*.
public struct Daemon {
    private let configuration: DaemonConfiguration
    private let logger: Logger

    public init(_ configuration: DaemonConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
    }

    /// Serves until SIGTERM or SIGINT, then until the clients have left or the drain is over. Call it in the main thread.
    ///
    /// - Throws: `SystemError` where the socket can't be opened or a thread not be started.
    public func run() throws {
        // First of all: the threads started below inherit that these signals are blocked.
        let signals = Signals(taking: [Signals.terminate, Signals.interrupt])
        DescriptorLimit.raise()
        let crew = Crew(maximumConnections: configuration.maximumConnections)
        defer { crew.disband() }
        let (workers, threads) = try start(crew)
        logger.notice("listening on \(configuration.socketPath), \(workers.count) workers, counting in \(place)")
        ServiceManager.notifyReady()
        _ = signals.wait()
        ServiceManager.notifyStopping()
        logger.notice("stopping: the clients have \(configuration.drainMilliseconds) ms to leave")
        for worker in workers { Task(executorPreference: worker.loop) { await worker.beginDrain() } }
        for thread in threads { thread.join() }
        logger.notice("stopped")
    }

    private var place: String { configuration.redis.map { "Redis at \($0.description)" } ?? "memory" }

    private func countingKind() -> CounterStore.Kind {
        let memory = MemoryCounters(capacity: configuration.memoryCounterCapacity)
        guard let redis = configuration.redis else { return .memory(memory) }
        return .redis(
            RedisBackend(
                redis, deadlineMilliseconds: configuration.redisDeadlineMilliseconds, onFailure: configuration.onFailure,
                fallback: memory))
    }

    /// Opens the socket and starts the workers. They alone hold the listener, so that it closes as soon as all have let go.
    private func start(_ crew: Crew) throws -> ([DaemonWorker], [SystemThread]) {
        let listener = try Listener.unix(path: configuration.socketPath, mode: configuration.socketMode)
        let rules = PolicyRules(limit: configuration.limitCount, windowSeconds: configuration.limitWindowSeconds)
        let counting = countingKind()
        var workers: [DaemonWorker] = []
        for index in 0..<max(configuration.workers, 1) {
            let worker = DaemonWorker(
                index: index, loop: try EventLoop(), listener: listener, crew: crew, configuration, rules: rules,
                counting: counting, logger: logger)
            crew.join(worker)
            workers.append(worker)
        }
        var threads: [SystemThread] = []
        for worker in workers {
            let logger = logger
            Task(executorPreference: worker.loop) {
                do {
                    try await worker.run()
                } catch {
                    logger.critical("worker \(worker.index) cannot accept: \(error)")
                }
            }
            threads.append(try SystemThread(name: "policy-\(worker.index)") { worker.loop.run() })
        }
        return (workers, threads)
    }
}
