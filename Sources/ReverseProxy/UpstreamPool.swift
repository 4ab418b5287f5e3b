import Bytes
import EventLoop
import TLS

/// One connection to an endpoint, lent to one exchange at a time.
final class UpstreamConnection {
    let stream: any ByteStream
    /// Whether it has served an exchange before: the upstream may then have closed it just now, unseen.
    fileprivate(set) var isReused: Bool
    fileprivate var idleSinceMilliseconds: Int64 = 0
    /// Nil for a stream of many on a connection, which never idles by itself.
    fileprivate let address: SocketAddress?
    /// Of the addresses among which its own was known to be the last time.
    fileprivate var addressVersion = 0

    /// Whether it is one client's alone.
    fileprivate let isForOne: Bool
    /// Whether it is a stream of an HTTP/2 connection.
    let isStreamOfMany: Bool

    init(_ stream: any ByteStream, to address: SocketAddress, addressVersion: Int, isForOne: Bool = false) {
        self.isForOne = isForOne
        isStreamOfMany = false
        self.stream = stream
        self.address = address
        self.addressVersion = addressVersion
        isReused = false
    }

    /// A stream of an HTTP/2 connection.
    init(_ stream: UpstreamStream, isReused: Bool) {
        self.stream = stream
        self.isReused = isReused
        address = nil
        isForOne = false
        isStreamOfMany = true
    }

    /// Who is woken by what happens on it.
    func setWaiter(_ waiter: Waiter?) { stream.waiter = waiter }

    fileprivate var isOpenAndQuiet: Bool { stream.isOpen && stream.isQuiet }

    fileprivate var isQuiet: Bool { stream.isQuiet }
}

/// A worker's kept-alive connections to one endpoint of an upstream, the last used first.
final class UpstreamPool {
    let endpoint: Endpoint
    /// The value of `Host` for this endpoint.
    let authority: [UInt8]
    /// How many of the worker's requests are with it, those that are still connecting included.
    var requestCount = 0
    private let status: EndpointStatus
    private let idleTimeoutMilliseconds: Int64
    private let maximumIdle: Int
    /// Taken out while it changes, as in the ``Spares``.
    private var idle: [UpstreamConnection] = []
    /// Of an upstream that speaks HTTP/2.
    private let sessions: UpstreamSessions?
    /// Whether no exchange will ask for a connection any more.
    private var isRetired = false

    /// - Parameter queue: where HTTP/2 connections go that have been made.
    init(_ status: EndpointStatus, configuration: ProxyConfiguration, queue: SessionQueue) {
        self.status = status
        let idleMilliseconds = configuration.timeouts.upstreamIdle
        sessions = status.endpoint.isHTTP2
            ? UpstreamSessions(queue, limits: configuration.headLimits, idleTimeoutMilliseconds: idleMilliseconds) : nil
        endpoint = status.endpoint
        authority = status.endpoint.authority
        idleTimeoutMilliseconds = configuration.timeouts.upstreamIdle
        maximumIdle = configuration.upstreamIdleConnections
    }

    /// An idle connection that is still open, as far as this side knows.
    func takeIdle(now: Int64) -> UpstreamConnection? {
        if let sessions { return sessions.takeStream() }
        var idle = exchange(&self.idle, with: [])
        defer { self.idle = idle }
        while let connection = idle.popLast() {
            // Readable while idle: the upstream has closed it, or sent what nobody asked for. Either way it is of no use.
            let isFresh = now - connection.idleSinceMilliseconds < idleTimeoutMilliseconds
            if isFresh, connection.isOpenAndQuiet, leadsThere(connection) { return connection }
            connection.stream.close()
        }
        return nil
    }

    var isHTTP2: Bool { sessions != nil }

    /// How many connections are kept unused.
    var idleCount: Int { idle.count }

    /// A new connection. Parks on `waiter`.
    ///
    /// - Parameter first: what says whose connection it is, so that nobody else may have it afterwards; not with HTTP/2.
    func connect(
        on waiter: Waiter, timeoutMilliseconds: Int64, taking turns: HandshakeTurns, sending first: ByteBuffer? = nil
    ) async throws(ConnectFailure) -> UpstreamConnection {
        if let sessions {
            return try await sessions.open(on: waiter, timeoutMilliseconds: timeoutMilliseconds) { () async throws(ConnectFailure) in
                try await self.status.connect(on: waiter, timeoutMilliseconds: timeoutMilliseconds, taking: turns)
            }
        }
        let version = status.addressVersion
        let (stream, address) = try await status.connect(
            on: waiter, timeoutMilliseconds: timeoutMilliseconds, taking: turns, sending: first)
        return UpstreamConnection(stream, to: address, addressVersion: version, isForOne: first != nil)
    }

    /// Whether the endpoint still is where the connection leads: kept alive, it would else never notice that its service has moved.
    private func leadsThere(_ connection: UpstreamConnection) -> Bool {
        let version = status.addressVersion
        if connection.addressVersion == version { return true }
        guard let address = connection.address, status.addresses.contains(address) else { return false }
        connection.addressVersion = version
        return true
    }

    /// Takes back a connection whose last exchange ended in good order.
    func giveBack(_ connection: UpstreamConnection, now: Int64) {
        connection.setWaiter(nil)
        guard sessions == nil else { return connection.stream.close() }
        guard !isRetired, !connection.isForOne, idle.count < maximumIdle, connection.isQuiet, leadsThere(connection) else {
            return connection.stream.close()
        }
        connection.isReused = true
        connection.idleSinceMilliseconds = now
        var idle = exchange(&self.idle, with: [])
        idle.append(connection)
        self.idle = idle
    }

    /// Closes what has been idle too long, or has been closed by the upstream.
    func sweep(now: Int64) {
        sessions?.sweep(now: now, addresses: status.addresses)
        var idle = exchange(&self.idle, with: [])
        defer { self.idle = idle }
        idle.removeAll { connection in
            let isStale = !connection.stream.isQuiet || !leadsThere(connection)
                || now - connection.idleSinceMilliseconds >= idleTimeoutMilliseconds
            if isStale { connection.stream.close() }
            return isStale
        }
    }

    /// Keeps no connection from now on. What is lent is closed when it is given back.
    func retire() {
        isRetired = true
        sessions?.retire()
        for connection in exchange(&idle, with: []) { connection.stream.close() }
    }
}
