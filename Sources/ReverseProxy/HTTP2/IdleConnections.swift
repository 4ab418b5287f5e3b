import EventLoop

/// A worker's HTTP/2 connections that rest without a stream, but for those whose session sleeps.
///
/// They are taken out while they change, as in the ``Spares``.
final class IdleConnections {
    private var connections: [HTTP2Connection] = []

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

    /// Lets those sleep that nothing has happened on since the last call. To be called at regular times.
    func sweep() {
        for connection in connections where connection.settle() { remove(connection) }
    }
}
