import EventLoop

/// A worker's HTTP/2 connections that rested without a stream when they were served last, but for those whose session sleeps.
///
/// They are taken out while they change, as in the ``Spares``.
final class IdleConnections {
    /// How many are looked at in a turn: to put a session to sleep takes four microseconds.
    private static let connectionsPerTurn = 64

    private let waiter: Waiter
    private var connections: [HTTP2Connection] = []
    /// How many of them, the first ones, the sweep that is under way has yet to look at.
    private var unsweptCount = 0

    init(loop: EventLoop) { waiter = Waiter(loop: loop) }

    /// Does nothing where it is among them.
    func add(_ connection: HTTP2Connection) {
        guard connection.placeWhenIdle == nil else { return }
        var connections = exchange(&self.connections, with: [])
        connection.placeWhenIdle = connections.count
        connections.append(connection)
        self.connections = connections
    }

    /// Does nothing where it isn't among them.
    func remove(_ connection: HTTP2Connection) {
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

    /// From the last to the first: what takes the place of one that goes has been looked at.
    private func sweepSome() {
        unsweptCount = min(unsweptCount, connections.count)
        for _ in 0..<min(Self.connectionsPerTurn, unsweptCount) {
            unsweptCount -= 1
            let connection = connections[unsweptCount]
            if connection.settle() { remove(connection) }
        }
        if unsweptCount > 0 { waiter.restForTurn(self) }
    }
}

extension IdleConnections: Resting {
    func roused() { sweepSome() }
}
