import EventLoop

/// What a worker's tasks serve.
enum Work {
    case arrival(NewConnection)
    /// A connection that was idle, and has something to read.
    case request(ClientConnection)
    /// An HTTP/2 connection on which something has happened.
    case frames(HTTP2Connection)
    /// A stream of one, whose request's head the exchange has taken in.
    case stream(Exchange, HTTP2Connection)
}

/// A connection that a listener has brought.
final class NewConnection {
    let socket: Socket
    let peer: SocketAddress
    let listener: ListenerSetup

    init(_ socket: Socket, from peer: SocketAddress, at listener: ListenerSetup) {
        self.socket = socket
        self.peer = peer
        self.listener = listener
    }
}

/// The tasks that serve a worker's connections and their streams, one at a time each.
///
/// An idle connection has none: the frames of a task that has forwarded a request are eight kilobytes. The task that was free last
/// serves next, so that the frames in use are few and stay in the processor's caches.
final class ServingTasks {
    /// One of them.
    final class Server {
        fileprivate var work: Work?
        fileprivate var isDismissed = false
        fileprivate let waiter: Waiter

        init(loop: EventLoop) { waiter = Waiter(loop: loop) }
    }

    private let free = Spares<Server>(maximum: 1024, lasting: 64)
    /// What no task was free for: as many as there are connections and streams at the most.
    /// Taken out while it changes, as in the ``Spares``.
    private var waiting: [Work] = []
    /// How much has been submitted and isn't done, what waits for long among it.
    private var unfinishedCount = 0
    /// What so few work on stays in the processor's caches: up to here, no ``StreamPace`` is needed.
    private static let quietCount = 64
    private let starter: Waiter
    private var isOver = false

    init(loop: EventLoop) { starter = Waiter(loop: loop) }

    var isBusy: Bool { unfinishedCount >= Self.quietCount }

    /// Has `work` done, by a task that is free or is started for it.
    func submit(_ work: consuming Work) {
        unfinishedCount &+= 1
        if let server = free.take() {
            server.work = work
            server.waiter.wake()
        } else {
            var waiting = exchange(&self.waiting, with: [])
            waiting.append(work)
            self.waiting = waiting
            starter.wake()
        }
    }

    /// Waits for work that a task has to be started for. Nil once it is over.
    func nextWithoutTask() async -> Work? {
        while true {
            // What was first comes last: all of it is taken before anything else happens.
            if let work = takeWaiting() { return work }
            if isOver { return nil }
            await starter.park()
        }
    }

    /// Waits for the next work of a task that has done its last, which counts as finished from here on. Nil where the task may end.
    func next(for server: Server) async -> Work? {
        unfinishedCount &-= 1
        if let work = takeWaiting() { return work }
        guard !isOver, free.give(server) else { return nil }
        while server.work == nil, !isOver, !server.isDismissed { await server.waiter.park() }
        return server.work.take()
    }

    private func takeWaiting() -> Work? {
        guard !waiting.isEmpty else { return nil }
        var waiting = exchange(&self.waiting, with: [])
        defer { self.waiting = waiting }
        return waiting.popLast()
    }

    /// No connection is left, and none comes any more: the tasks end.
    func end() {
        isOver = true
        starter.wake()
        for server in free.takeAll() { server.waiter.wake() }
    }

    /// Ends tasks that nothing has needed lately. To be called at regular times.
    func trim() {
        for server in free.takeSurplus() {
            server.isDismissed = true
            server.waiter.wake()
        }
    }
}
