import Bytes
import EventLoop
import Logging
import PolicyClient
import Settings
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
    /// SIGHUP swaps the configuration; SIGUSR1 opens the file of the access log again.
    ///
    /// - Throws: ``SystemError`` or ``ResolutionError`` where it cannot begin to serve.
    public func run() throws {
        let signals = Signals(taking: [Signals.terminate, Signals.interrupt, Signals.hangUp, Signals.user1])
        warnOfFewDescriptors()
        let setup = try setup()
        let logThread = try SystemThread(name: "log") { setup.logWriter.run() }
        let (workers, ports) = try makeWorkers(setup)
        let watch = try CertificateWatch(setup.listeners.compactMap(\.certificates), logger: logger)
        let threads = try workers.enumerated().map { index, worker in
            try SystemThread(name: "worker-\(index)") { worker.loop.run() }
        }
        for worker in workers {
            Task(executorPreference: worker.loop) { await worker.run() }
        }
        let keeper = UpstreamKeeper(setup.upstreams, loop: try EventLoop(), logger: logger)
        let keeperThread = try SystemThread(name: "upstreams") { keeper.loop.run() }
        Task(executorPreference: keeper.loop) { await keeper.run() }
        try writeStartLines(ports: ports, setup.logWriter)
        let reloader = ProxyReloader(setup, workers: workers, keeper: keeper, watch: watch, readAgain: readAgain, logger: logger)
        let admin = try listenForAdmin(setup, reloader)
        ServiceManager.notifyReady()
        serve(signals, reloader, setup.logWriter)
        setup.observation?.readiness.noteDrain()
        ServiceManager.notifyStopping()
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

    /// Returns when the proxy is to end.
    private func serve(_ signals: Signals, _ reloader: ProxyReloader, _ log: LogWriter) {
        while true {
            switch signals.wait() {
            case Signals.hangUp: _ = reloader.reload()
            case Signals.user1:
                do { try log.reopen() } catch { logger.error("the access log can't be opened again: \(error)") }
            default: return
            }
        }
    }

    private func listenForAdmin(_ setup: ProxySetup, _ reloader: ProxyReloader) throws -> AdminListener? {
        guard let address = configuration.admin, let observation = setup.observation else { return nil }
        let routes = [.metrics(observation.registry), .live, observation.readiness.route, reloader.route]
        let admin = try AdminListener(on: address, routes: routes, logger: logger)
        logger.notice("metrics at \(admin.address)")
        return admin
    }

    /// A file holds requests alone: what the proxy says of itself stays on standard output.
    private func writeStartLines(ports: [Int], _ log: LogWriter) throws(SystemError) {
        guard configuration.accessLogPath != nil else { return StartLines.write(configuration, ports: ports, to: log) }
        let output = try LogWriter(descriptor: 1) { _ in [] }
        StartLines.write(configuration, ports: ports, to: output)
        output.finish()
        output.run()
    }

    /// The workers alone hold the listeners, so that their ports close as soon as all have let go of them.
    private func makeWorkers(_ setup: ProxySetup) throws -> ([ProxyWorker], ports: [Int]) {
        let listeners = try configuration.allListeners.map { settings in
            try Listener.tcp(SocketAddress.resolve(host: settings.host, port: settings.port)[0])
        }
        let workers = try (0..<configuration.workers).map { _ in
            ProxyWorker(setup, loop: try EventLoop(), listeners: listeners)
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
