import Counters
import EventLoop
import Logging
import Policy
import Settings
import Succession
import Telemetry
import TLS

/// The policy daemon: answers on its socket, for every request, *allow or deny, and as whom*.
public struct Daemon {
    private let configuration: DaemonConfiguration
    private let readAgain: @Sendable () throws(InvalidConfiguration) -> DaemonConfiguration
    private let logger: Logger

    /// - Parameter readAgain: reads the configuration anew, for a reload.
    public init(
        _ configuration: DaemonConfiguration, readAgain: @escaping @Sendable () throws(InvalidConfiguration) -> DaemonConfiguration,
        logger: Logger
    ) {
        self.configuration = configuration
        self.readAgain = readAgain
        self.logger = logger
    }

    /// Serves until SIGTERM or SIGINT, then until the clients have left or the drain is over. Call it in the main thread.
    ///
    /// SIGHUP swaps the configuration; SIGUSR1 opens the file of the decision log again; SIGUSR2 hands over to a newer process.
    ///
    /// - Throws: where the socket can't be opened, a thread not be started, or keys not be read.
    public func run() throws {
        // First of all: the threads started below inherit that these signals are blocked.
        let signals = Signals(taking: [Signals.terminate, Signals.interrupt, Signals.hangUp, Signals.user1, Signals.user2])
        let handover = Handover(logger: logger)
        DescriptorLimit.raise()
        let sockets = try ListeningSockets()
        let crew = Crew(maximumConnections: configuration.maximumConnections)
        defer { crew.disband() }
        let log = try openDecisionLog()
        let registry = MetricRegistry()
        let setup = try Setup(configuration, replacing: nil, registry: registry, decisionLog: log?.writer, logger: logger)
        try setup.authentication.keeper.start()
        let prepared = try Latch(configuration.workers)
        let (workers, certificates) = try makeWorkers(crew, setup, registry, sockets, prepared)
        let watch = try CertificateWatch(certificates, logger: logger)
        let reloader = Reloader(setup, workers: workers, registry: registry, readAgain: readAgain, logger: logger)
        let admin = try configuration.admin.map { address in
            try AdminListener(
                on: address, of: sockets, routes: [.metrics(registry), .live, .ready { nil }, reloader.route], logger: logger)
        }
        try sockets.refuseUntaken()
        let threads = try start(workers)
        if sockets.hasPredecessor { try setup.authentication.keeper.awaitKeys() }
        prepared.wait()
        try sockets.takeOver()
        for worker in workers { Task(executorPreference: worker.loop) { await worker.open() } }
        try admin?.start()
        logger.notice("listening on \(configuration.places), \(workers.count) workers, counting in \(configuration.place)")
        if let admin { logger.notice("metrics at \(admin.address)") }
        if !sockets.hasPredecessor { ServiceManager.notifyReady() }
        if serve(signals, reloader, log?.writer, watch, handover, sockets) {
            // From now on its questions are the successor's to answer.
            admin?.stop()
        } else {
            ServiceManager.notifyStopping()
        }
        sockets.letGo()
        logger.notice("stopping: the clients have \(configuration.drainMilliseconds) ms to leave")
        for worker in workers { Task(executorPreference: worker.loop) { await worker.beginDrain() } }
        for thread in threads { thread.join() }
        admin?.stop()
        watch?.stop()
        reloader.stop()
        log?.writer.finish()
        log?.thread.join()
        logger.notice("stopped")
    }

    /// Returns when the daemon is to stop, and whether another process has taken its place.
    private func serve(
        _ signals: Signals, _ reloader: Reloader, _ log: LogWriter?, _ watch: CertificateWatch?, _ handover: Handover,
        _ sockets: ListeningSockets
    ) -> Bool {
        while true {
            switch signals.wait() {
            case Signals.hangUp:
                _ = reloader.reload()
                watch?.lookNow()
            case Signals.user1:
                do { try log?.reopen() } catch { logger.error("the decision log can't be opened again: \(error)") }
            case Signals.user2:
                if handover.advance(sockets) { return true }
            default:
                handover.abandon()
                return false
            }
        }
    }

    private func openDecisionLog() throws(SystemError) -> (writer: LogWriter, thread: SystemThread)? {
        guard configuration.decisionLog.mode != .off else { return nil }
        let writer = if let path = configuration.decisionLog.file {
            try LogWriter(path: path, lineAboutDropped: DecisionLog.lineAboutDropped)
        } else {
            try LogWriter(descriptor: 1, lineAboutDropped: DecisionLog.lineAboutDropped)
        }
        return (writer, try SystemThread(name: "decisions") { writer.run() })
    }

    /// Opens the addresses, and the socket last: who waits for that finds everything open.
    private func openDoors(_ sockets: ListeningSockets) throws -> [DoorSettings] {
        var doors: [DoorSettings] = []
        for place in configuration.listening {
            let certificates = try place.tls.map { try ServerCertificates($0, of: "\(place.address)") }
            doors.append(DoorSettings(
                listener: try sockets.tcp(place.address), dialects: Set(place.dialects), certificates: certificates))
        }
        let socket = try sockets.unix(path: configuration.socketPath, mode: configuration.socketMode)
        return [DoorSettings(listener: socket, dialects: Set(configuration.dialects))] + doors
    }

    /// The workers and `sockets` alone hold the listeners, so that these close as soon as all have let go of them.
    private func makeWorkers(
        _ crew: Crew, _ setup: Setup, _ registry: MetricRegistry, _ sockets: ListeningSockets, _ prepared: Latch
    ) throws -> ([DaemonWorker], [ServerCertificates]) {
        let doors = try openDoors(sockets)
        let workers = try (0..<configuration.workers).map { index in
            DaemonWorker(
                index: index, loop: try EventLoop(), doors: doors, crew: crew, setup, metrics: registry.makeWorkerMetrics(),
                prepared: prepared, logger: logger)
        }
        for worker in workers { crew.join(worker) }
        return (workers, doors.compactMap(\.certificates))
    }

    private func start(_ workers: [DaemonWorker]) throws -> [SystemThread] {
        try workers.map { worker in
            let logger = logger
            Task(executorPreference: worker.loop) {
                do {
                    try await worker.run()
                } catch {
                    logger.critical("worker \(worker.index) cannot accept: \(error)")
                }
            }
            return try SystemThread(name: "policy-\(worker.index)") { worker.loop.run() }
        }
    }
}
