import EventLoop

/// One connection to an upstream, lent to one exchange at a time.
final class UpstreamConnection {
    let stream: any ByteStream
    /// Whether it has served an exchange before: the upstream may then have closed it just now, unseen.
    fileprivate(set) var isReused = false
    fileprivate var idleSinceMilliseconds: Int64 = 0

    init(_ stream: any ByteStream) { self.stream = stream }
}

/// A worker's kept-alive connections to one upstream, the last used first.
final class UpstreamPool {
    /// The value of `Host` for this upstream.
    let authority: [UInt8]
    private let addresses: [SocketAddress]
    private let connectTimeoutMilliseconds: Int64
    private let idleTimeoutMilliseconds: Int64
    private let maximumIdle: Int
    private var idle: [UpstreamConnection] = []

    init(_ upstream: Upstream, addresses: [SocketAddress], configuration: ProxyConfiguration) {
        authority = upstream.authority
        self.addresses = addresses
        connectTimeoutMilliseconds = configuration.timeouts.upstreamConnect
        idleTimeoutMilliseconds = configuration.timeouts.upstreamIdle
        maximumIdle = configuration.upstreamIdleConnections
    }

    /// An idle connection that is still open, as far as this side knows.
    func takeIdle(now: Int64) -> UpstreamConnection? {
        while let connection = idle.popLast() {
            // Readable while idle: the upstream has closed it, or sent what nobody asked for. Either way it is of no use.
            let isFresh = now - connection.idleSinceMilliseconds < idleTimeoutMilliseconds
            if isFresh, connection.stream.isOpen, !connection.stream.isReadable { return connection }
            connection.stream.close()
        }
        return nil
    }

    /// A new connection, to the first address that takes one. Parks on `waiter`.
    func connect(on waiter: Waiter) async -> UpstreamConnection? {
        for address in addresses {
            if let socket = try? await Socket.connect(
                to: address, on: waiter, timeoutMilliseconds: connectTimeoutMilliseconds)
            {
                return UpstreamConnection(socket)
            }
        }
        return nil
    }

    /// Takes back a connection whose last exchange ended in good order.
    func giveBack(_ connection: UpstreamConnection, now: Int64) {
        connection.stream.waiter = nil
        guard idle.count < maximumIdle, !connection.stream.isReadable else { return connection.stream.close() }
        connection.isReused = true
        connection.idleSinceMilliseconds = now
        idle.append(connection)
    }

    /// Closes what has been idle too long, or has been closed by the upstream.
    func sweep(now: Int64) {
        idle.removeAll { connection in
            let isStale = connection.stream.isReadable
                || now - connection.idleSinceMilliseconds >= idleTimeoutMilliseconds
            if isStale { connection.stream.close() }
            return isStale
        }
    }

    func closeAll() {
        for connection in idle { connection.stream.close() }
        idle = []
    }
}
