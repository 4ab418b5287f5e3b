import Bytes
import EventLoop
import Logging
import PolicyClient

/// One worker: an actor on its own loop, and a task for each of its connections.
actor ProxyWorker {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }

    private let setup: ProxySetup
    private var context: WorkerContext?
    /// Let go of at the drain: the port closes when all workers have.
    private var listener: Listener?

    init(_ setup: ProxySetup, loop: EventLoop, listener: Listener) {
        self.setup = setup
        self.loop = loop
        self.listener = listener
    }

    /// Serves what the listener brings until ``drain()``, then what is in flight.
    func run() async {
        defer { loop.stop() }
        let context = WorkerContext(setup, loop: loop)
        self.context = context
        await withDiscardingTaskGroup { background in
            for index in 0..<context.policy.endpointCount {
                background.addImmediateTask(executorPreference: loop) { await self.askDaemon(index, context) }
                background.addImmediateTask(executorPreference: loop) { await self.leaveDaemon(index, context) }
            }
            background.addImmediateTask(executorPreference: loop) { await self.writeLog(context) }
            background.addImmediateTask(executorPreference: loop) { await self.sweep(context) }
            await serve(context)
            context.end()
        }
    }

    private func askDaemon(_ index: Int, _ context: WorkerContext) async { await context.policy.maintain(index) }
    private func leaveDaemon(_ index: Int, _ context: WorkerContext) async { await context.policy.serveLeaving(index) }
    private func writeLog(_ context: WorkerContext) async { await context.accessLog.flushRegularly() }
    private func sweep(_ context: WorkerContext) async { await context.sweepRegularly() }

    private func serve(_ context: WorkerContext) async {
        await withDiscardingTaskGroup { connections in
            await self.accept(into: &connections, context)
            self.listener = nil
            context.drainDeadline = loop.nowMilliseconds + context.configuration.timeouts.drain
        }
    }

    private func accept(into connections: inout DiscardingTaskGroup, _ context: WorkerContext) async {
        let waiter = Waiter(loop: loop)
        guard let listener else { return }
        let acceptor: Acceptor
        do {
            acceptor = try Acceptor(listener, on: waiter)
        } catch {
            return context.logger.critical("this worker cannot listen: \(error)")
        }
        while !context.isDraining {
            await self.waitForClient(acceptor, waiter, context)
            switch acceptor.accept() {
            case .connection(let socket, let address):
                context.setup.connections.add()
                connections.addImmediateTask(executorPreference: loop) { await self.serve(socket, address, context) }
            case .none: break
            case .exhausted(let error):
                context.logger.error("cannot accept: \(error)")
                await waiter.sleep(milliseconds: 100, unless: { context.isDraining })
            }
        }
        // What the kernel has queued came before the drain, and is served.
        while case .connection(let socket, let address) = acceptor.accept() {
            context.setup.connections.add()
            connections.addImmediateTask(executorPreference: loop) { await self.serve(socket, address, context) }
        }
        acceptor.close()
    }

    /// Over the limit of connections, clients wait in the kernel's queue.
    private func waitForClient(_ acceptor: Acceptor, _ waiter: Waiter, _ context: WorkerContext) async {
        while !acceptor.mayAccept, !context.isDraining { await waiter.park() }
        while !context.setup.connections.hasRoom, !context.isDraining {
            await waiter.sleep(milliseconds: 20, unless: { context.isDraining })
        }
    }

    private func serve(_ socket: Socket, _ address: SocketAddress, _ context: WorkerContext) async {
        await ClientConnection(socket, from: address, in: context).serve()
        context.setup.connections.remove()
    }

    /// Stops accepting; ``run(_:)`` returns when what is in flight is done, or its time is over.
    func drain() {
        context?.isDraining = true
        loop.wakeAll()
    }
}
