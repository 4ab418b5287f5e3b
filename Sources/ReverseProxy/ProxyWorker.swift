import Bytes
import EventLoop
import Logging
import PolicyClient

/// One worker: an actor on its own loop, and a task for each of its connections.
actor ProxyWorker {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }

    private let state: WorkerState
    private let setup: ProxySetup
    /// In the order of the setup's. Let go of at the drain: a port closes when all workers have.
    private var listeners: [Listener?]

    init(_ setup: ProxySetup, loop: EventLoop, listeners: [Listener]) {
        self.setup = setup
        self.loop = loop
        self.listeners = listeners
        state = WorkerState(setup, loop: loop)
        state.adopt(setup)
    }

    /// Serves what the listener brings until ``drain()``, then what is in flight.
    func run() async {
        defer { loop.stop() }
        await withDiscardingTaskGroup { background in
            background.addImmediateTask(executorPreference: loop) { await self.keepDaemons() }
            background.addImmediateTask(executorPreference: loop) { await self.writeLog() }
            background.addImmediateTask(executorPreference: loop) { await self.sweep() }
            background.addImmediateTask(executorPreference: loop) { await self.serveSessions() }
            await serve()
            state.end()
        }
    }

    /// Serves under another configuration from now on. What is in flight is finished under the one before.
    func adopt(_ setup: ProxySetup) {
        guard !state.isOver else { return }
        state.adopt(setup)
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
        await withDiscardingTaskGroup { accepting in
            for index in setup.listeners.indices {
                accepting.addImmediateTask(executorPreference: loop) { await self.serve(listenerAt: index) }
            }
        }
    }

    private func serve(listenerAt index: Int) async {
        await withDiscardingTaskGroup { connections in
            await self.accept(fromListenerAt: index, into: &connections)
            self.listeners[index] = nil
        }
    }

    private func accept(fromListenerAt index: Int, into connections: inout DiscardingTaskGroup) async {
        let waiter = Waiter(loop: loop)
        guard let listener = listeners[index] else { return }
        let entrance = setup.listeners[index]
        let acceptor: Acceptor
        do {
            acceptor = try Acceptor(listener, on: waiter)
        } catch {
            return state.logger.critical("this worker cannot listen: \(error)")
        }
        while !state.isDraining {
            await self.waitForClient(acceptor, waiter)
            switch acceptor.accept() {
            case .connection(let socket, let address):
                setup.connections.add()
                connections.addImmediateTask(executorPreference: loop) { await self.serve(socket, address, entrance) }
            case .none: break
            case .exhausted(let error):
                state.logger.error("cannot accept: \(error)")
                await waiter.sleep(milliseconds: 100, unless: { state.isDraining })
            }
        }
        // What the kernel has queued came before the drain, and is served.
        while case .connection(let socket, let address) = acceptor.accept() {
            setup.connections.add()
            connections.addImmediateTask(executorPreference: loop) { await self.serve(socket, address, entrance) }
        }
        acceptor.close()
    }

    /// Over the limit of connections, clients wait in the kernel's queue.
    private func waitForClient(_ acceptor: Acceptor, _ waiter: Waiter) async {
        while !acceptor.mayAccept, !state.isDraining { await waiter.park() }
        while !setup.connections.hasRoom, !state.isDraining {
            await waiter.sleep(milliseconds: 20, unless: { state.isDraining })
        }
    }

    private func serve(_ socket: Socket, _ address: SocketAddress, _ listener: ListenerSetup) async {
        if let context = state.latest {
            count(1, context)
            await serve(socket, address, listener, context)
            count(-1, context)
        }
        setup.connections.remove()
    }

    private func serve(_ socket: Socket, _ peer: SocketAddress, _ listener: ListenerSetup, _ context: WorkerContext) async {
        let waiter = Waiter(loop: loop)
        guard let (address, arrival) = await context.receiveProxyHeader(from: socket, peer, on: waiter) else {
            return socket.close()
        }
        guard let client = await ClientConnection.open(socket, from: address, by: listener, on: waiter, in: context) else { return }
        client.arrival = arrival
        if context.tellsDestinations, arrival.destination == nil, let local = socket.localAddress, let address = local.ipAddress {
            client.arrival.destination = ProxyHeader.End(address: address, port: UInt16(clamping: local.port))
        }
        if let http2 = await client.serve() { await serve(http2) }
    }

    /// Counts in the place that it has under any configuration.
    private func count(_ connections: Int, _ context: WorkerContext) {
        if let metrics = context.metrics, let worker = state.workerMetrics { worker.add(connections, to: metrics.connections) }
    }

    /// Serves the streams of an HTTP/2 connection, a task each.
    private func serve(_ connection: HTTP2Connection) async {
        await withDiscardingTaskGroup { streams in
            while let stream = await connection.nextStream() {
                streams.addImmediateTask(executorPreference: loop) { await self.serve(stream, of: connection) }
            }
        }
        await connection.close()
    }

    private func serve(_ stream: DownstreamStream, of connection: HTTP2Connection) async { await connection.serve(stream) }

    /// Stops accepting; ``run(_:)`` returns when what is in flight is done, or its time is over.
    func drain() {
        guard !state.isDraining else { return }
        let timeouts = state.latest?.configuration.timeouts ?? setup.configuration.timeouts
        state.drainDeadline = loop.nowMilliseconds + timeouts.drain
        state.isDraining = true
        loop.wakeAll()
    }
}
