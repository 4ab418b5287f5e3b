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
        warnOfFewDescriptors()
        let sockets = try ListeningSockets()
        let setup = try setup()
        let prepared = try Latch(configuration.workers)
        let (workers, ports) = try makeWorkers(setup, sockets, prepared)
        let keeper = UpstreamKeeper(setup.upstreams, loop: try EventLoop(), logger: logger)
        let watch = try CertificateWatch(setup.listeners.compactMap(\.certificates), logger: logger)
        let reloader = ProxyReloader(setup, workers: workers, keeper: keeper, watch: watch, readAgain: readAgain, logger: logger)
        let admin = try makeAdmin(setup, reloader, sockets)
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
        if let admin {
            try admin.start()
            logger.notice("metrics at \(admin.address)")
        }
        if !sockets.hasPredecessor { ServiceManager.notifyReady() }
        let handover = Handover(logger: logger)
        if serve(signals, reloader, setup.logWriter, handover, sockets) {
            // From now on its questions are the successor's to answer.
            admin?.stop()
        } else {
            ServiceManager.notifyStopping()
        }
        sockets.letGo()
        setup.observation?.readiness.noteDrain()
        logger.notice("draining: no new connections, what is in flight has \(configuration.timeouts.drain / 1000) s")
        for worker in workers {
            Task(executorPreference: worker.loop) { await worker.drain() }
        }
        for thread in threads { thread.join() }
        Task(executorPreference: keeper.loop) { await keeper.stop() }
        keeperThread.join()
        admin?.stop()
        watch?.stop()
        setup.logWriter.finish()
        logThread.join()
    }

    /// Returns when the proxy is to end, and whether another process has taken its place.
    private func serve(
        _ signals: Signals, _ reloader: ProxyReloader, _ log: LogWriter, _ handover: Handover, _ sockets: ListeningSockets
    ) -> Bool {
        while true {
            switch signals.wait() {
            case Signals.hangUp: _ = reloader.reload()
            case Signals.user1:
                do { try log.reopen() } catch { logger.error("the access log can't be opened again: \(error)") }
            case Signals.user2:
                if handover.advance(sockets) { return true }
            default:
                handover.abandon()
                return false
            }
        }
    }

    private func makeAdmin(
        _ setup: ProxySetup, _ reloader: ProxyReloader, _ sockets: ListeningSockets
    ) throws -> AdminListener? {
        guard let address = configuration.admin, let observation = setup.observation else { return nil }
        let routes = [.metrics(observation.registry), .live, observation.readiness.route, reloader.route]
        return try AdminListener(on: address, of: sockets, routes: routes, logger: logger)
    }

    /// A file holds requests alone: what the proxy says of itself stays on standard output.
    private func writeStartLines(ports: [Int], _ log: LogWriter) throws(SystemError) {
        guard configuration.accessLogPath != nil else { return StartLines.write(configuration, ports: ports, to: log) }
        let output = try LogWriter(descriptor: 1) { _ in [] }
        StartLines.write(configuration, ports: ports, to: output)
        output.finish()
        output.run()
    }

    /// The workers and `sockets` alone hold the listeners, so that their ports close as soon as all have let go of them.
    private func makeWorkers(
        _ setup: ProxySetup, _ sockets: ListeningSockets, _ prepared: Latch
    ) throws -> ([ProxyWorker], ports: [Int]) {
        let listeners = try configuration.allListeners.map { settings in
            try sockets.tcp(SocketAddress.resolve(host: settings.host, port: settings.port)[0])
        }
        let workers = try (0..<configuration.workers).map { _ in
            ProxyWorker(setup, loop: try EventLoop(), listeners: listeners, prepared: prepared)
        }
        return (workers, listeners.map(\.address.port))
    }

    /// A client takes a descriptor, and each of its requests another one towards its upstream.
    private func warnOfFewDescriptors() {
        let limits = configuration.limits
        let requests = configuration.http2.isEnabled ? max(limits.connections, limits.mostRequests) : limits.connections
        let wanted = limits.connections + requests
        guard let limit = DescriptorLimit.raise(), limit < wanted else { return }
        logger.warning("\(limit) descriptors may be open, and \(limits.connections) connections with \(requests) requests want \(wanted): raise the limit (LimitNOFILE, ulimit -n) or lower limits: connections and requests")
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
            policyEndpoints: try configuration.policySockets.map { try PolicyClient.Endpoint(socketPath: $0) },
            listeners: try ListenerSetup.all(configuration.allListeners),
            logWriter: logWriter,
            logger: logger,
            connections: SharedCount(maximum: configuration.limits.connections),
            streams: SharedCount(maximum: configuration.limits.mostRequests),
            observation: configuration.admin == nil ? nil : try ProxyObservation(configuration, upstreams, logWriter))
    }
}
