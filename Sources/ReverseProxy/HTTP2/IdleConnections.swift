import EventLoop

/// What may have something to do once it has been idle for a while.
protocol Settling: AnyObject {
    /// Where it stands among the ``IdleConnections``, for these alone; nil where it doesn't.
    var placeWhenIdle: Int? { get set }
    /// Does what is to be done where it has been idle since the last call.
    ///
    /// - Returns: whether there is nothing more to be done until it is added again.
    func settle() -> Bool
}

/// A worker's HTTP/2 connections that rested without a stream when they were served last, but for those whose session sleeps.
///
/// They are taken out while they change, as in the ``Spares``.
final class IdleConnections<Connection: Settling> {
    private let waiter: Waiter
    private var connections: [Connection] = []
    /// How many of them, the first ones, the sweep that is under way has yet to look at.
    private var unsweptCount = 0

    init(loop: EventLoop) { waiter = Waiter(loop: loop) }

    /// Does nothing where it is among them.
    func add(_ connection: Connection) {
        guard connection.placeWhenIdle == nil else { return }
        var connections = exchange(&self.connections, with: [])
        connection.placeWhenIdle = connections.count
        connections.append(connection)
        self.connections = connections
    }

    /// Does nothing where it isn't among them.
    func remove(_ connection: Connection) {
        guard let place = connection.placeWhenIdle else { return }
        connection.placeWhenIdle = nil
        var connections = exchange(&self.connections, with: [])
        let last = connections.removeLast()
        if last !== connection {
            connections[place] = last
            last.placeWhenIdle = place
        }
        self.connections = connections
    }

    /// Lets those sleep that nothing has happened on since the last call: in this turn and the next ones, so that nobody has to wait for long. To be
    /// called at regular times.
    func sweep() {
        unsweptCount = connections.count
        sweepSome()
    }

    /// From the last to the first: what takes the place of one that goes has been looked at. At the worst it is once more.
    private func sweepSome() {
        unsweptCount = min(unsweptCount, connections.count)
        for _ in 0..<min(connectionsPerTurn, unsweptCount) {
            unsweptCount -= 1
            let connection = connections[unsweptCount]
            if connection.settle() { remove(connection) }
        }
        if unsweptCount > 0 { waiter.restForTurn(self) }
    }
}

/// How many are looked at in a turn: to put a session to sleep takes four microseconds.
private let connectionsPerTurn = 64

extension IdleConnections: Resting {
    func roused() { sweepSome() }
}
