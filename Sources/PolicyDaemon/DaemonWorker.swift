import Bytes
import Counters
import EventLoop
import Logging
import Policy

/// One core's share of the daemon: an actor on its own loop. Nothing it owns is shared but the in-memory counters.
actor DaemonWorker {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
    nonisolated let index: Int

    private let configuration: DaemonConfiguration
    private let crew: Crew
    private var listener: Listener?
    private let decisions: DecisionPoint
    private let counters: CounterStore
    private let drain = Drain()
    private let limits: DaemonLimits
    private let acceptWaiter: Waiter
    private var isAskedToAccept = false
    private var log: BoundedLog

    init(
        index: Int, loop: EventLoop, listener: Listener, crew: Crew, _ configuration: DaemonConfiguration,
        rules: PolicyRules, counting kind: CounterStore.Kind, limits: DaemonLimits = DaemonLimits(), logger: Logger
    ) {
        self.index = index
        self.loop = loop
        self.listener = listener
        self.crew = crew
        self.configuration = configuration
        self.limits = limits
        counters = CounterStore(kind, loop: loop, logger: logger)
        decisions = DecisionPoint(
            rules: rules,
            authenticator: Authenticator(
                key: configuration.key, leewaySeconds: configuration.leewaySeconds,
                cacheCapacity: configuration.tokenCacheCapacity, rules: rules),
            counters: counters)
        acceptWaiter = Waiter(loop: loop)
        log = BoundedLog(logger, linesPerSecond: limits.logLinesPerSecond)
    }

    /// Serves clients until the drain is over, then stops the loop.
    func run() async throws {
        defer { loop.stop() }
        // Else the first hits would be counted without the store that all daemons share.
        await counters.connect()
        try await withThrowingDiscardingTaskGroup { maintenance in
            maintenance.addImmediateTask(executorPreference: loop) { await self.maintainCounters() }
            defer { counters.stop() }
            try await withThrowingDiscardingTaskGroup { connections in
                try await accept(into: &connections)
            }
        }
    }

    /// Asks all clients to leave, and stops accepting new ones.
    func beginDrain() {
        guard !drain.hasBegun else { return }
        drain.begin(endMilliseconds: loop.nowMilliseconds + configuration.drainMilliseconds)
        loop.wakeAll()
    }

    /// Has this worker look whether a connection is queued, since another one that was woken for it has more of them.
    func lookForConnection() {
        isAskedToAccept = true
        acceptWaiter.wake()
    }

    private func maintainCounters() async { await counters.maintain() }

    private func accept(into connections: inout ThrowingDiscardingTaskGroup<any Error>) async throws {
        guard let listener else { return }
        var acceptor: Acceptor? = try Acceptor(listener, on: acceptWaiter)
        while let accepting = acceptor {
            isAskedToAccept = false
            // What is queued already is accepted before a drain lets go of the socket.
            let isLast = drain.hasBegun
            await acceptQueued(accepting, into: &connections)
            if isLast {
                accepting.close()
                acceptor = nil
                self.listener = nil
            } else if !drain.hasBegun, !isAskedToAccept {
                // Not `while !mayAccept`: a connection left to another worker stays queued, and every wake-up is worth a look.
                await acceptWaiter.park()
            }
        }
    }

    private func acceptQueued(
        _ acceptor: Acceptor, into connections: inout ThrowingDiscardingTaskGroup<any Error>
    ) async {
        while true {
            if !drain.hasBegun, let worker = crew.worker(lessLoadedThan: index) {
                Task(executorPreference: worker.loop) { await worker.lookForConnection() }
                return
            }
            switch acceptor.accept() {
            case .none: return
            case .connection(let socket, _):
                if crew.admitConnection(at: index) {
                    connections.addImmediateTask(executorPreference: loop) { await self.serve(socket) }
                } else {
                    socket.close()
                    log.log(
                        .warning, nowMilliseconds: loop.nowMilliseconds,
                        "refused a client: \(crew.maximumConnections) are connected already")
                }
            case .exhausted(let error):
                log.log(.warning, nowMilliseconds: loop.nowMilliseconds, "accepting rests: \(error)")
                await acceptWaiter.sleep(milliseconds: limits.acceptPauseMilliseconds) { drain.hasBegun }
                if drain.hasBegun { return }
            }
        }
    }

    private func serve(_ socket: Socket) async {
        let session = ClientSession(
            decisions, maximumInFlight: configuration.maximumInFlight, output: ByteBuffer(capacity: 16 * 1024))
        let process = socket.peerCredentials.map { "process \($0.pid) of user \($0.uid)" } ?? "unknown process"
        log.log(.debug, nowMilliseconds: loop.nowMilliseconds, "connected: \(process)")
        let ending = await ClientConnection(socket, session, drain: drain, limits).serve()
        log.log(
            session.isOver ? .warning : .debug, nowMilliseconds: loop.nowMilliseconds,
            "disconnected: \(session.clientName.debugDescription), \(process): \(ending.debugDescription)")
        crew.connectionEnded(at: index)
    }
}
