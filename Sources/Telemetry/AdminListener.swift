import EventLoop
import Logging
import Synchronization

/// Where the admin listener listens.
public enum AdminAddress: Sendable, Equatable {
    /// Reachable by whoever reaches that address: a loopback one, unless the operator wants it otherwise.
    case tcp(SocketAddress)
    case unix(path: String, mode: UInt32)

    /// Opens the socket, or takes the one that is there for it.
    public func listen(of sockets: ListeningSockets) throws -> Listener {
        let backlog: Int32 = 64
        return switch self {
        case .tcp(let address): try sockets.tcp(address, backlog: backlog)
        case .unix(let path, let mode): try sockets.unix(path: path, mode: mode, backlog: backlog)
        }
    }
}

/// A small HTTP/1.1 server for those who run the gateway: metrics, readiness, reload. On a thread of its own, so that no
/// request waits for a scrape. It answers its routes and nothing else.
public final class AdminListener: Sendable {
    /// Where it listens; the port is the real one also where 0 was asked for.
    public let address: SocketAddress
    private let worker: AdminWorker
    private let thread = Mutex<SystemThread?>(nil)

    /// Opens the socket, or takes the one that the process was started with.
    public init(
        on address: AdminAddress, of sockets: ListeningSockets, routes: [AdminRoute], limits: AdminLimits = AdminLimits(),
        logger: Logger
    ) throws {
        let listener = try address.listen(of: sockets)
        self.address = listener.address
        worker = AdminWorker(listener, routes, limits, loop: try EventLoop(), logger: logger)
    }

    /// Begins to serve. Once.
    public func start() throws(SystemError) {
        Task(executorPreference: worker.loop) { [worker] in await worker.run() }
        let started = try SystemThread(name: "admin") { [worker] in worker.loop.run() }
        thread.withLock { $0 = started }
    }

    /// Closes the socket and waits for what is in flight, no longer than ``AdminLimits/drainMilliseconds``. Blocks, so not from
    /// a route. A second call does nothing.
    public func stop() {
        beginDrain()?.join()
    }

    /// As ``stop()``, but waits for nothing.
    public func retire() { beginDrain()?.detach() }

    private func beginDrain() -> SystemThread? {
        let started = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        if started != nil { Task(executorPreference: worker.loop) { [worker] in await worker.drain() } }
        return started
    }
}

/// The listener's side of its thread: accepts, and keeps count of who is connected.
actor AdminWorker {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }

    /// Let go of at the drain: the socket closes then.
    private var listener: Listener?
    private let routes: [AdminRoute]
    private let limits: AdminLimits
    private let logger: Logger
    private let drainage = AdminDrain()
    private let waiter: Waiter
    private var connections: [AdminConnection] = []

    init(_ listener: Listener, _ routes: [AdminRoute], _ limits: AdminLimits, loop: EventLoop, logger: Logger) {
        self.listener = listener
        self.routes = routes
        self.limits = limits
        self.loop = loop
        self.logger = logger
        waiter = Waiter(loop: loop)
    }

    func run() async {
        defer { loop.stop() }
        await withDiscardingTaskGroup { tasks in
            await self.accept(into: &tasks)
            self.listener = nil
            await self.awaitDrain()
        }
    }

    func drain() {
        drainage.hasBegun = true
        loop.wakeAll()
    }

    private func accept(into tasks: inout DiscardingTaskGroup) async {
        guard let listener else { return }
        let acceptor: Acceptor
        do {
            acceptor = try Acceptor(listener, on: waiter)
        } catch {
            return logger.critical("the admin listener cannot listen: \(error)")
        }
        while !drainage.hasBegun {
            while !acceptor.mayAccept, !drainage.hasBegun { await waiter.park() }
            switch acceptor.accept() {
            case .connection(let socket, _):
                if hasRoom() {
                    tasks.addImmediateTask(executorPreference: loop) { await self.serve(socket) }
                } else {
                    socket.close()
                }
            case .none: break
            case .exhausted(let error):
                logger.error("the admin listener cannot accept: \(error)")
                await waiter.sleep(milliseconds: limits.acceptPauseMilliseconds, unless: { drainage.hasBegun })
            }
        }
        acceptor.close()
    }

    /// Whether one more may be served: where all places are taken, once an idle one has been sent away.
    private func hasRoom() -> Bool {
        guard connections.count >= limits.connections else { return true }
        let idle = connections.indices.filter { connections[$0].idleSince != nil }
        guard let longest = idle.min(by: { connections[$0].idleSince! < connections[$1].idleSince! }) else { return false }
        connections.remove(at: longest).cutOff()
        return true
    }

    private func serve(_ socket: Socket) async {
        let connection = AdminConnection(socket, routes, limits, drainage)
        connections.append(connection)
        await connection.serve()
        connections.removeAll { $0 === connection }
        waiter.wake()
    }

    private func awaitDrain() async {
        await waiter.sleep(milliseconds: limits.drainMilliseconds, unless: { connections.isEmpty })
        for connection in connections { connection.cutOff() }
    }
}

/// Whether the listener is to end. Belongs to its thread.
final class AdminDrain {
    var hasBegun = false
}
