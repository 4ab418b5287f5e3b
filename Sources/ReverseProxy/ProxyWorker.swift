import Bytes
import EventLoop
import Logging
import PolicyClient

/// One worker: an actor on its own loop, and tasks for whatever of its connections is not idle.
actor ProxyWorker {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }

    private let state: WorkerState
    private let setup: ProxySetup
    private var doors: [Door]
    /// Of them, those that nothing is accepted at yet.
    private var newDoors: [Door] = []
    private let doorWaiter: Waiter
    private let prepared: Latch
    /// How long a daemon may take to greet before clients are accepted.
    private static let firstConnectionMilliseconds: Int64 = 2_000
    private var isOpen = false

    /// - Parameter prepared: where the worker arrives when it could accept.
    init(_ setup: ProxySetup, loop: EventLoop, entrances: [Entrance], prepared: Latch) {
        self.prepared = prepared
        self.setup = setup
        self.loop = loop
        doors = entrances.map { Door($0, loop: loop) }
        newDoors = doors
        doorWaiter = Waiter(loop: loop)
        state = WorkerState(setup, loop: loop)
        state.adopt(setup)
    }

    /// Serves what the listeners bring from ``open()`` until ``drain()``, then what is in flight.
    func run() async {
        defer { loop.stop() }
        await withDiscardingTaskGroup { background in
            background.addImmediateTask(executorPreference: loop) { await self.keepDaemons() }
            background.addImmediateTask(executorPreference: loop) { await self.writeLog() }
            background.addImmediateTask(executorPreference: loop) { await self.sweep() }
            background.addImmediateTask(executorPreference: loop) { await self.serveSessions() }
            await prepare()
            await serve()
            state.end()
        }
    }

    /// Gets as far as knowing whether there is a daemon to ask: those who have queued meanwhile would all be answered 503.
    private func prepare() async {
        let waiter = Waiter(loop: loop)
        if state.policy.usableConnection() == nil {
            _ = await state.policy.awaitConnection(on: waiter, milliseconds: Self.firstConnectionMilliseconds)
        }
        state.noteReadiness()
        prepared.arrive()
        while !isOpen, !state.isDraining { await waiter.park() }
    }

    /// Begins to accept.
    func open() {
        isOpen = true
        loop.wakeAll()
    }

    /// Serves under another configuration from now on. What is in flight is finished under the one before.
    ///
    /// - Parameter entrances: where clients come in then. They are accepted no more where they came in before, but for those that the kernel
    ///   has queued.
    func adopt(_ setup: ProxySetup, _ entrances: [Entrance]) {
        guard !state.isOver else { return }
        state.adopt(setup)
        guard !state.isDraining else { return }
        let added = entrances.filter { entrance in !doors.contains { $0.listener === entrance.listener } }.map { Door($0, loop: loop) }
        for door in doors { door.lead(to: entrances.first { $0.listener === door.listener }) }
        doors = doors.filter { !$0.isClosing } + added
        newDoors += added
        doorWaiter.wake()
    }

    private func keepDaemons() async { await state.policy.run() }
    private func writeLog() async { await state.logLines.flushRegularly() }
    private func sweep() async { await state.sweepRegularly() }

    /// Moves the bytes of the HTTP/2 connections to upstreams, a task each.
    private func serveSessions() async {
        await withDiscardingTaskGroup { sessions in
            while let (session, changed) = await state.newSessions.next(unless: { state.isOver }) {
                sessions.addImmediateTask(executorPreference: loop) { await self.serve(session, changed) }
            }
        }
    }

    private func serve(_ session: UpstreamSession, _ changed: () -> Void) async { await session.run(changed: changed) }

    private func serve() async {
        await withDiscardingTaskGroup { serving in
            serving.addImmediateTask(executorPreference: loop) { await self.startTasks() }
            await accept()
            await state.awaitLastConnection()
            state.tasks.end()
        }
    }

    private func accept() async {
        await withDiscardingTaskGroup { accepting in
            while !state.isDraining {
                while let door = newDoors.popLast() {
                    accepting.addImmediateTask(executorPreference: loop) { await self.accept(at: door) }
                }
                await doorWaiter.park()
            }
        }
        (doors, newDoors) = ([], [])
    }

    private func accept(at door: Door) async {
        guard let listener = door.listener else { return }
        defer { door.listener = nil }
        let acceptor: Acceptor
        do {
            acceptor = try Acceptor(listener, on: door.waiter)
        } catch {
            return state.logger.critical("this worker cannot listen: \(error)")
        }
        while !isClosing(door) {
            await self.waitForClient(acceptor, door)
            switch acceptor.accept() {
            case .connection(let socket, let address): take(socket, from: address, at: door.setup)
            case .none: break
            case .exhausted(let error):
                state.logger.error("cannot accept: \(error)")
                await door.waiter.sleep(milliseconds: 100, unless: { isClosing(door) })
            }
        }
        // What the kernel has queued came before, and is served; as much as that may be, for who comes now is queued as well.
        for _ in 0..<Listener.usualBacklog {
            guard case .connection(let socket, let address) = acceptor.accept() else { break }
            take(socket, from: address, at: door.setup)
        }
        acceptor.close()
    }

    private func isClosing(_ door: Door) -> Bool { door.isClosing || state.isDraining }

    private func take(_ socket: Socket, from address: SocketAddress, at listener: ListenerSetup) {
        state.connectionBegan()
        state.tasks.submit(.arrival(NewConnection(socket, from: address, at: listener)))
    }

    /// Over the limit of connections, clients wait in the kernel's queue.
    private func waitForClient(_ acceptor: Acceptor, _ door: Door) async {
        while !acceptor.mayAccept, !isClosing(door) { await door.waiter.park() }
        while !setup.connections.hasRoom, !isClosing(door) {
            await door.waiter.sleep(milliseconds: 20, unless: { isClosing(door) })
        }
    }

    private func startTasks() async {
        await withDiscardingTaskGroup { tasks in
            while let work = await state.tasks.nextWithoutTask() {
                tasks.addImmediateTask(executorPreference: loop) { await self.serve(first: work) }
            }
        }
    }

    private func serve(first work: consuming Work) async {
        let server = ServingTasks.Server(loop: loop)
        var next: Work? = consume work
        while let work = next.take() {
            switch consume work {
            case .request(let client): await serve(client)
            case .frames(let connection): await serve(connection)
            case .stream(let exchange, let connection): await connection.serve(with: exchange)
            case .arrival(let connection):
                if let client = await open(connection) { await serve(client) } else { state.connectionEnded() }
            }
            next = await state.tasks.next(for: server)
        }
    }

    private func serve(_ client: ClientConnection) async {
        switch await client.serve() {
        case .idle: client.rest()
        case .over: state.connectionEnded()
        case .http2(let connection): await serve(connection)
        }
    }

    private func serve(_ connection: HTTP2Connection) async {
        if await connection.serve() { state.connectionEnded() }
    }

    private func open(_ connection: NewConnection) async -> ClientConnection? {
        guard let context = state.latest else { return nil }
        let (socket, waiter) = (connection.socket, Waiter(loop: loop))
        guard let (client, told) = await context.receiveProxyHeader(from: socket, connection.peer, on: waiter) else {
            socket.close()
            return nil
        }
        var arrival = told
        if context.tellsDestinations, arrival.destination == nil, let local = socket.localAddress, let address = local.ipAddress {
            arrival.destination = ProxyHeader.End(address: address, port: UInt16(clamping: local.port))
        }
        return await ClientConnection.open(socket, from: client, arrival, at: connection.listener, on: waiter, in: context)
    }

    /// Stops accepting; ``run(_:)`` returns when what is in flight is done, or its time is over.
    func drain() {
        guard !state.isDraining else { return }
        let timeouts = state.latest?.configuration.timeouts ?? setup.configuration.timeouts
        state.beginDrain(timeouts)
    }
}
