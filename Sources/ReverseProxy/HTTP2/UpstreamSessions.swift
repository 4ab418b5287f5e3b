import EventLoop
import HTTPMessage

/// A worker's HTTP/2 connections to one upstream: few, each for many requests at once.
final class UpstreamSessions {
    /// A connection that has been made, and where to.
    typealias Connected = (stream: any ByteStream, address: SocketAddress)

    private let queue: SessionQueue
    private let limits: HeadLimits
    private let idleTimeoutMilliseconds: Int64
    private var sessions: [UpstreamSession] = []
    private var isConnecting = false
    /// Whether what is still to connect is for one request alone.
    private var isRetired = false
    /// Counts the attempts to connect: who waited for one shares its outcome.
    private var attempt = 0
    private var attemptFailed = false
    private var waiting: [Waiter] = []

    init(_ queue: SessionQueue, limits: HeadLimits, idleTimeoutMilliseconds: Int64) {
        self.queue = queue
        self.limits = limits
        self.idleTimeoutMilliseconds = idleTimeoutMilliseconds
    }

    /// A stream on a connection that takes one; nil where there is none.
    func takeStream() -> UpstreamConnection? {
        sessions.removeAll { $0.isOver }
        guard let session = sessions.first(where: { $0.takesRequests }) else { return nil }
        return UpstreamConnection(session.open(), isReused: session.isReused)
    }

    /// A stream on a new connection, or on one that is being made. Parks on `waiter`, whose deadline it sets.
    ///
    /// - Parameter connect: makes a connection, and waits on `waiter` no longer than it may.
    func open(
        on waiter: Waiter, timeoutMilliseconds: Int64, connect: () async throws(ConnectFailure) -> Connected
    ) async throws(ConnectFailure) -> UpstreamConnection {
        waiter.setDeadline(afterMilliseconds: timeoutMilliseconds)
        while isConnecting {
            let awaited = attempt
            waiting.append(waiter)
            while attempt == awaited, !waiter.isDue { await waiter.park() }
            waiting.removeAll { $0 === waiter }
            guard attempt != awaited, !attemptFailed else { throw .sharedAttempt }
            if let connection = takeStream() { return connection }
        }
        isConnecting = true
        var hasFailed = true
        defer { attemptIsOver(hasFailed) }
        let session = try await greetedSession(on: waiter, timeoutMilliseconds, connect)
        hasFailed = false
        // Its request is sent before the session looks at that.
        if isRetired { session.retire() }
        return UpstreamConnection(session.open(), isReused: false)
    }

    /// Only now is its outcome noted: some that waited for the attempt before may still have to look at that one's.
    private func attemptIsOver(_ hasFailed: Bool) {
        isConnecting = false
        attemptFailed = hasFailed
        attempt += 1
        for waiter in waiting { waiter.wake() }
    }

    /// A connection whose upstream has shown that it speaks HTTP/2, and how many requests it takes at once.
    private func greetedSession(
        on waiter: Waiter, _ timeoutMilliseconds: Int64, _ connect: () async throws(ConnectFailure) -> Connected
    ) async throws(ConnectFailure) -> UpstreamSession {
        let (stream, address) = try await connect()
        let session = UpstreamSession(stream, to: address, loop: waiter.loop, limits: limits, idleTimeoutMilliseconds: idleTimeoutMilliseconds)
        queue.add(session) { waiter.wake() }
        waiter.setDeadline(afterMilliseconds: timeoutMilliseconds)
        while !session.isGreeted, !session.isOver, !waiter.isDue { await waiter.park() }
        guard session.takesRequests else {
            session.end()
            throw .endpoint
        }
        sessions.append(session)
        return session
    }

    /// - Parameter addresses: where the upstream is now: a connection that leads elsewhere takes no further request.
    func sweep(now: Int64, addresses: [SocketAddress]) {
        for session in sessions {
            session.endIfIdle(now: now)
            if !addresses.contains(session.address) { session.retire() }
        }
        sessions.removeAll { $0.isOver }
    }

    /// Closes each connection once its requests are over.
    func retire() {
        isRetired = true
        for session in sessions { session.retire() }
        sessions = []
    }
}

/// Connections that have been made and want a task that moves their bytes.
final class SessionQueue {
    private var arrived: [(session: UpstreamSession, changed: () -> Void)] = []
    private let waiter: Waiter

    init(loop: EventLoop) { waiter = Waiter(loop: loop) }

    func add(_ session: UpstreamSession, changed: @escaping () -> Void) {
        arrived.append((session, changed))
        waiter.wake()
    }

    /// The next one; nil once `isOver`.
    func next(unless isOver: () -> Bool) async -> (session: UpstreamSession, changed: () -> Void)? {
        while arrived.isEmpty {
            if isOver() { return nil }
            await waiter.park()
        }
        return arrived.removeFirst()
    }
}
