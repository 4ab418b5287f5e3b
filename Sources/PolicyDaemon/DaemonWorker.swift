import Bytes
import Counters
import EventLoop
import Logging
import Policy
import Telemetry
import TLS

/// One core's share of the daemon: an actor on its own loop. Nothing it owns is shared but the in-memory counters.
actor DaemonWorker {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
    nonisolated let index: Int

    private let crew: Crew
    private let doors: [Door]
    private let point: CurrentDecisionPoint
    private var setup: Setup
    /// What is to be in force, as soon as its counters can be asked.
    private var latest: Setup
    private var counters: CounterStore
    private let metrics: WorkerMetrics
    private var decisionLog: DecisionLog?
    private let drain = Drain()
    private let limits: DaemonLimits
    private let handshakes: HandshakeTurns
    private let maintenanceWaiter: Waiter
    private let prepared: Latch
    private var isOpen = false
    private var isStopping = false
    private var log: BoundedLog
    private let logger: Logger

    /// - Parameter prepared: where the worker arrives when it could accept.
    init(
        index: Int, loop: EventLoop, doors: [DoorSettings], crew: Crew, _ setup: Setup, metrics: WorkerMetrics,
        limits: DaemonLimits = DaemonLimits(), prepared: Latch, logger: Logger
    ) {
        self.prepared = prepared
        self.index = index
        self.loop = loop
        self.doors = doors.map { Door($0, loop: loop) }
        self.crew = crew
        self.setup = setup
        latest = setup
        self.limits = limits
        self.metrics = metrics
        self.logger = logger
        let counters = CounterStore(setup.counting, loop: loop, logger: logger)
        self.counters = counters
        decisionLog = setup.decisionLog.map {
            DecisionLog($0, setup.configuration.decisionLog.mode, loop: loop, workerIndex: index)
        }
        point = CurrentDecisionPoint(
            Self.decisions(setup, counters, metrics, decisionLog), rateLimits: Self.rateLimits(setup, counters))
        handshakes = HandshakeTurns(loop: loop)
        maintenanceWaiter = Waiter(loop: loop)
        log = BoundedLog(logger, linesPerSecond: limits.logLinesPerSecond)
    }

    private static func decisions(_ setup: Setup, _ counters: CounterStore, _ metrics: WorkerMetrics, _ log: DecisionLog?) -> DecisionPoint {
        DecisionPoint(
            rules: setup.configuration.rules, authenticator: Authenticator(setup.authentication), counters: counters,
            observer: WorkerObserver(setup.metrics, metrics, log: log, isTimed: setup.configuration.admin != nil))
    }

    private static func rateLimits(_ setup: Setup, _ counters: CounterStore) -> RateLimitService? {
        let rules = setup.configuration.rateLimits
        return rules.domains.isEmpty ? nil : RateLimitService(rules, counters: counters)
    }

    /// Serves clients from ``open()`` until the drain is over, then stops the loop.
    func run() async throws {
        defer { loop.stop() }
        // Else the first hits would be counted without the store that all daemons share.
        await counters.connect()
        prepared.arrive()
        while !isOpen, !drain.hasBegun { await maintenanceWaiter.park() }
        try await withThrowingDiscardingTaskGroup { maintenance in
            maintenance.addImmediateTask(executorPreference: loop) { await self.maintainCounters() }
            maintenance.addImmediateTask(executorPreference: loop) { await self.writeDecisionLog() }
            defer { stop() }
            try await withThrowingDiscardingTaskGroup { accepting in
                for index in doors.indices {
                    accepting.addImmediateTask(executorPreference: loop) { try await self.accept(atDoor: index) }
                }
            }
        }
    }

    /// Begins to accept.
    func open() {
        isOpen = true
        loop.wakeAll()
    }

    /// Asks all clients to leave, and stops accepting new ones.
    func beginDrain() {
        guard !drain.hasBegun else { return }
        drain.begin(endMilliseconds: loop.nowMilliseconds + setup.configuration.drainMilliseconds)
        loop.wakeAll()
    }

    /// Has this worker look whether a connection is queued, since another one that was woken for it has more of them.
    func lookForConnection(atDoor index: Int) {
        doors[index].isAskedToAccept = true
        doors[index].waiter.wake()
    }

    /// Decides by another configuration from now on. What is under way is decided by the one before.
    func adopt(_ setup: Setup) async {
        guard !isStopping else { return }
        latest = setup
        var counters = self.counters
        if setup.counting != self.setup.counting {
            counters = CounterStore(setup.counting, loop: loop, logger: logger)
            await counters.connect()
            // A later configuration may have been adopted meanwhile.
            guard latest === setup, !isStopping else { return counters.stop() }
        }
        let former = self.counters
        self.setup = setup
        self.counters = counters
        point.decisions = Self.decisions(setup, counters, metrics, decisionLog)
        point.rateLimits = Self.rateLimits(setup, counters)
        // It answers what it was asked before it ends, and the one that has taken its place is maintained.
        if former !== counters { former.stop() }
        loop.wakeAll()
    }

    private func maintainCounters() async {
        while !isStopping {
            let counters = self.counters
            await counters.maintain()
            // In memory there is nothing to maintain.
            while !isStopping, counters === self.counters { await maintenanceWaiter.park() }
        }
    }

    private func writeDecisionLog() async { await decisionLog?.flushRegularly() }

    private func stop() {
        isStopping = true
        counters.stop()
        decisionLog?.stop()
        loop.wakeAll()
    }

    /// Accepts clients until the drain begins, and returns when they have left.
    private func accept(atDoor door: Int) async throws {
        try await withThrowingDiscardingTaskGroup { connections in
            try await accept(atDoor: door, into: &connections)
        }
    }

    private func accept(atDoor number: Int, into connections: inout ThrowingDiscardingTaskGroup<any Error>) async throws {
        let door = doors[number]
        guard let listener = door.listener else { return }
        var acceptor: Acceptor? = try Acceptor(listener, on: door.waiter)
        while let accepting = acceptor {
            door.isAskedToAccept = false
            // What is queued already is accepted before a drain lets go of the socket.
            let isLast = drain.hasBegun
            await acceptQueued(accepting, atDoor: number, into: &connections)
            if isLast {
                accepting.close()
                acceptor = nil
                door.listener = nil
            } else if !drain.hasBegun, !door.isAskedToAccept {
                // Not `while !mayAccept`: a connection left to another worker stays queued, and every wake-up is worth a look.
                await door.waiter.park()
            }
        }
    }

    private func acceptQueued(
        _ acceptor: Acceptor, atDoor number: Int, into connections: inout ThrowingDiscardingTaskGroup<any Error>
    ) async {
        let door = doors[number]
        while true {
            if !drain.hasBegun, let worker = crew.worker(lessLoadedThan: index) {
                Task(executorPreference: worker.loop) { await worker.lookForConnection(atDoor: number) }
                return
            }
            switch acceptor.accept() {
            case .none: return
            case .connection(let socket, let address):
                if address.isUnix, !mayAsk(socket) {
                    socket.close()
                } else if crew.admitConnection(at: index) {
                    connections.addImmediateTask(executorPreference: loop) { await self.serve(socket, from: address, atDoor: number) }
                } else {
                    socket.close()
                    log.log(
                        .warning, nowMilliseconds: loop.nowMilliseconds,
                        "refused a client: \(crew.maximumConnections) are connected already")
                }
            case .exhausted(let error):
                log.log(.warning, nowMilliseconds: loop.nowMilliseconds, "accepting rests: \(error)")
                await door.waiter.sleep(milliseconds: limits.acceptPauseMilliseconds) { drain.hasBegun }
                if drain.hasBegun { return }
            }
        }
    }

    /// Whether the process that has connected is one of a user who may. Who may, a reload changes for those who come after it.
    private func mayAsk(_ socket: Socket) -> Bool {
        guard let users = setup.configuration.socketUsers else { return true }
        let peer = socket.peerCredentials
        if let peer, users.contains(peer.uid) { return true }
        log.log(
            .warning, nowMilliseconds: loop.nowMilliseconds,
            "refused \(Self.name(peer)): policy_socket_users are \(users.map(String.init).joined(separator: ", "))")
        return false
    }

    private static func name(_ peer: (uid: UInt32, pid: Int32)?) -> String {
        peer.map { "process \($0.pid) of user \($0.uid)" } ?? "an unknown process"
    }

    private func serve(_ socket: Socket, from address: SocketAddress, atDoor number: Int) async {
        defer { crew.connectionEnded(at: index) }
        let waiter = Waiter(loop: loop)
        var process = address.isUnix ? Self.name(socket.peerCredentials) : "\(address)"
        var stream: any ByteStream = socket
        if let certificates = doors[number].certificates {
            do throws(TLSFailure) {
                let secure = try await TLSStream.accept(
                    over: socket, certificates.current, on: waiter, timeoutMilliseconds: limits.helloMilliseconds, taking: handshakes,
                    unless: { loop.nowMilliseconds >= drain.endMilliseconds })
                if let certificate = try secure.peerCertificate { process += ", \(certificate.subject)" }
                stream = secure
            } catch {
                log.log(.warning, nowMilliseconds: loop.nowMilliseconds, "no TLS with \(process): \(error)")
                return
            }
        }
        await serve(stream, waiter, process, doors[number].dialects)
    }

    private func serve(_ stream: any ByteStream, _ waiter: Waiter, _ process: String, _ dialects: Set<Dialect>) async {
        let session = OpeningSession(
            point, dialects: dialects, maximumInFlight: setup.configuration.maximumInFlight, output: ByteBuffer(capacity: 16 * 1024))
        log.log(.debug, nowMilliseconds: loop.nowMilliseconds, "connected: \(process)")
        metrics.add(1, to: setup.metrics.connections)
        let ending = await ClientConnection(
            stream, session, on: waiter, drain: drain, limits, leavingMilliseconds: { self.setup.configuration.drainMilliseconds }).serve()
        metrics.add(-1, to: setup.metrics.connections)
        log.log(
            session.ending == nil ? .debug : .warning, nowMilliseconds: loop.nowMilliseconds,
            "disconnected: \(session.clientName.debugDescription), \(process): \(ending.debugDescription)")
    }
}
