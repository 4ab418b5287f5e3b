import Bytes
import EventLoop
import Logging
import PolicyClient
import Settings
import Succession
import TLS
import Telemetry

/// The proxy as a process: it listens, starts a worker for each core, and drains them when it is told to end.
public struct Proxy {
    private let configuration: ProxyConfiguration
    private let readAgain: @Sendable () throws(InvalidConfiguration) -> ProxyConfiguration
    private let logger: Logger

    /// - Parameter readAgain: reads the configuration anew, for a reload.
    public init(
        _ configuration: ProxyConfiguration, readAgain: @escaping @Sendable () throws(InvalidConfiguration) -> ProxyConfiguration,
        logger: Logger
    ) {
        self.configuration = configuration
        self.readAgain = readAgain
        self.logger = logger
    }

    /// Serves until SIGTERM or SIGINT, then finishes what is in flight. Call it on the main thread, before any other is started.
    ///
    /// SIGHUP swaps the configuration; SIGUSR1 opens the file of the access log again; SIGUSR2 hands over to a newer process.
    ///
    /// - Throws: ``SystemError``, ``UnfitDescriptor`` or ``ResolutionError`` where it cannot begin to serve.
    public func run() throws {
        let signals = Signals(taking: [Signals.terminate, Signals.interrupt, Signals.hangUp, Signals.user1, Signals.user2])
        let handover = Handover(logger: logger)
        warnOfFewDescriptors()
        tellWhatIsNotBelieved()
        let sockets = try ListeningSockets()
        let setup = try setup()
        let prepared = try Latch(configuration.workers)
        let keeper = UpstreamKeeper(setup.upstreams, loop: try EventLoop(), logger: logger)
        let (workers, reloader, ports) = try makeWorkers(setup, sockets, keeper, prepared)
        try sockets.refuseUntaken()
        let logThread = try SystemThread(name: "log") { setup.logWriter.run() }
        let threads = try workers.enumerated().map { index, worker in
            try SystemThread(name: "worker-\(index)") { worker.loop.run() }
        }
        for worker in workers {
            Task(executorPreference: worker.loop) { await worker.run() }
        }
        let keeperThread = try SystemThread(name: "upstreams") { keeper.loop.run() }
        Task(executorPreference: keeper.loop) { await keeper.run() }
        prepared.wait()
        try sockets.takeOver()
        for worker in workers {
            Task(executorPreference: worker.loop) { await worker.open() }
        }
        try writeStartLines(ports: ports, setup.logWriter)
        if let admin = reloader.admin {
            try admin.start()
            logger.notice("metrics at \(admin.address)")
        }
        if !sockets.hasPredecessor { ServiceManager.notifyReady() }
        let isFollowed = serve(signals, reloader, handover, sockets)
        reloader.requests.end()
        // From now on its questions are the successor's to answer.
        if isFollowed { reloader.admin?.stop() } else { ServiceManager.notifyStopping() }
        sockets.letGo()
        reloader.setup.observation?.readiness.noteDrain()
        let drainMilliseconds = reloader.setup.configuration.timeouts.drain
        logger.notice("draining: no new connections, what is in flight has \(drainMilliseconds / 1000) s")
        for worker in workers {
            Task(executorPreference: worker.loop) { await worker.drain() }
        }
        for thread in threads { thread.join() }
        Task(executorPreference: keeper.loop) { await keeper.stop() }
        keeperThread.join()
        reloader.admin?.stop()
        reloader.watch?.stop()
        setup.logWriter.finish()
        logThread.join()
    }

    /// Returns when the proxy is to end, and whether another process has taken its place.
    private func serve(
        _ signals: Signals, _ reloader: ProxyReloader, _ handover: Handover, _ sockets: ListeningSockets
    ) -> Bool {
        while true {
            switch signals.wait() {
            case Signals.hangUp: reloader.requests.answer(by: reloader.reload)
            case Signals.user1:
                do { try reloader.setup.logWriter.reopen() } catch { logger.error("the access log can't be opened again: \(error)") }
            case Signals.user2:
                if handover.advance(sockets) { return true }
            default:
                handover.abandon()
                return false
            }
        }
    }

    /// A file holds requests alone: what the proxy says of itself stays on standard output.
    private func writeStartLines(ports: [Int], _ log: LogWriter) throws(SystemError) {
        guard configuration.accessLogPath != nil else { return StartLines.write(configuration, ports: ports, to: log) }
        let output = try LogWriter(descriptor: 1) { _ in [] }
        StartLines.write(configuration, ports: ports, to: output)
        output.finish()
        output.run()
    }

    /// Opens the listening sockets, each for all workers.
    private func makeWorkers(
        _ setup: ProxySetup, _ sockets: ListeningSockets, _ keeper: UpstreamKeeper, _ prepared: Latch
    ) throws -> ([ProxyWorker], ProxyReloader, ports: [Int]) {
        let entrances = try Entrance.all(in: configuration, of: sockets)
        let workers = try (0..<configuration.workers).map { _ in
            ProxyWorker(setup, loop: try EventLoop(), entrances: entrances, prepared: prepared)
        }
        let reloader = try ProxyReloader(setup, at: entrances, of: sockets, workers: workers, keeper: keeper, readAgain: readAgain)
        return (workers, reloader, entrances.map(\.listener.address.port))
    }

    /// A client takes a descriptor, and each of its requests another one towards its upstream.
    private func warnOfFewDescriptors() {
        let limits = configuration.limits
        let requests = configuration.http2.isEnabled ? max(limits.connections, limits.mostRequests) : limits.connections
        let wanted = limits.connections + requests
        guard let limit = DescriptorLimit.raise(), limit < wanted else { return }
        logger.warning("\(limit) descriptors may be open, and \(limits.connections) connections with \(requests) requests want \(wanted): raise the limit (LimitNOFILE, ulimit -n) or lower limits: connections and requests")
    }

    /// Where proxies in front set these fields, as many do, somebody may count on them.
    private func tellWhatIsNotBelieved() {
        let trusted = configuration.trustedProxies
        guard !trusted.isEmpty, trusted.header == .xForwardedFor, !trusted.tellScheme, !trusted.tellHost else { return }
        logger.notice("X-Forwarded-Proto and X-Forwarded-Host are believed of nobody: trusted_proxies is set, and neither trusted_proto nor trusted_host is true")
    }

    private func logWriter() throws(SystemError) -> LogWriter {
        let format = configuration.logFormat
        let lineAboutDropped: @Sendable (Int) -> [UInt8] = { droppedCount in
            let line = ByteBuffer(capacity: 128)
            StartLines.append("\(droppedCount) log lines dropped", level: "warning", as: format, to: line)
            return line.bytes.array
        }
        guard let path = configuration.accessLogPath else { return try LogWriter(descriptor: 1, lineAboutDropped: lineAboutDropped) }
        return try LogWriter(path: path, lineAboutDropped: lineAboutDropped)
    }

    private func setup() throws -> ProxySetup {
        let logWriter = try logWriter()
        let upstreams = try UpstreamStatus.all(in: configuration, logger: logger)
        return ProxySetup(
            configuration: configuration,
            upstreams: upstreams,
            policyEndpoints: try configuration.policyEndpoints,
            logWriter: logWriter,
            logger: logger,
            connections: SharedCount(maximum: configuration.limits.connections),
            streams: SharedCount(maximum: configuration.limits.mostRequests),
            observation: try ProxyObservation.ofThose(
                whoLookBy: configuration, workers: configuration.workers, upstreams, logWriter),
            workerCount: configuration.workers)
    }
}
