import EventLoop
import Logging
import PolicyProtocol

/// Asks policy daemons over their sockets: one worker's side of it.
///
/// It keeps one connection to each address, pipelines the CHECKs of all exchanges on it, sends what a turn collected in one
/// write, and connects again where a connection is lost. A CHECK is sent once: whether a lost one was counted cannot be
/// known, so its request is denied, not asked again.
///
/// It belongs to one actor, whose executor is its loop. One task of that keeps the connections, others ask:
///
/// ```swift
/// let client = PolicyClient([try .init(socketPath: path)], configuration: .init(name: "my-server"), loop: loop, logger: logger)
/// // In a task of the actor's, until client.stop():
/// await client.run()
/// // For each request; whatever is not an allow denies:
/// guard let connection = client.usableConnection() else { return deny() }
/// let check = PendingCheck()
/// check.waiter = Waiter(loop: loop)
/// connection.send(
///     check, method: method.span, scheme: .https, authority: host.span, target: target.span, peerAddress: address.span, peerPort: port
/// ) { check in
///     for name in connection.session.wantedHeaders { if let value = headers[name] { check.header(name: name.span, value: value.span) } }
/// }
/// await check.wait()
/// guard let verdict = check.verdict, verdict.decision == .allow else { return deny() }
/// ```
public final class PolicyClient {
    /// Every wait and every queue of a client has its limit here.
    public struct Configuration: Sendable {
        /// What the client calls itself in its HELLO.
        public var name: String
        /// How long a CHECK may wait for its verdict.
        public var deadlineMilliseconds: Int64 = 250
        /// After so many late verdicts in a row a daemon counts as down, until it answers a PING.
        public var lateAnswersUntilDown = 3
        /// How long a connection is kept on which the daemon leaves a late CHECK or a PING unanswered: a worker of it may
        /// hang, and a new connection may come to another.
        public var silenceMilliseconds: Int64 = 2_000
        /// How long connecting, and then waiting for the daemon's HELLO, may take.
        public var helloTimeoutMilliseconds = Int64(ProtocolLimits.helloTimeoutMilliseconds)
        /// The pause before connecting again: it doubles from the first to the second.
        public var reconnectMilliseconds: ClosedRange<Int64> = 20...1000
        /// How long a daemon that sends its clients away is asked on, while another one that is to take its place has the socket
        /// and has yet to greet.
        public var successionMilliseconds: Int64 = 5_000
        /// How many CHECKs a connection may have in flight, where the daemon allows more.
        public var maximumInFlight = 16_384
        /// How many bytes the daemon may be behind in reading before it is asked no more.
        public var maximumUnsentBytes = 4 * 1024 * 1024

        public init(name: String) { self.name = name }
    }

    /// Where a daemon listens.
    public struct Endpoint: Sendable {
        public let name: String
        let address: SocketAddress

        /// The daemon's Unix socket.
        public init(socketPath: String) throws(SystemError) {
            name = socketPath
            address = try SocketAddress.unix(path: socketPath)
        }
    }

    private let configuration: Configuration
    private let loop: EventLoop
    private let logger: Logger
    private var connections: [PolicyConnection?]
    /// Of each endpoint: the connections that the daemon wants to end, the latest last.
    private var leaving: [[PolicyConnection]]
    private let leavingWaiters: [Waiter]
    private let endpoints: [Endpoint]
    private var next = 0
    private var isStopping = false
    /// Of each endpoint: whether the attempt to connect that is under way, or the next one, may come to something. Not so where the last one
    /// was refused.
    private var isPromising: [Bool]
    /// When the last connection was lost that a CHECK could be sent on.
    private var lostAtMilliseconds: Int64
    /// How many wait for a connection.
    private var awaitingCount = 0

    public init(_ endpoints: [Endpoint], configuration: Configuration, loop: EventLoop, logger: Logger) {
        self.endpoints = endpoints
        self.configuration = configuration
        self.loop = loop
        self.logger = logger
        connections = Array(repeating: nil, count: endpoints.count)
        leaving = Array(repeating: [], count: endpoints.count)
        leavingWaiters = endpoints.map { _ in Waiter(loop: loop) }
        isPromising = Array(repeating: true, count: endpoints.count)
        lostAtMilliseconds = loop.nowMilliseconds
    }

    /// A connection that a CHECK can be sent on now, each in its turn; nil where no daemon answers.
    public func usableConnection() -> PolicyConnection? {
        for _ in connections.indices {
            next = next + 1 < connections.count ? next + 1 : 0
            if let connection = connections[next], connection.isUsable { return connection }
        }
        for connections in leaving {
            if let connection = connections.last, connection.isUsableMeanwhile { return connection }
        }
        return nil
    }

    /// Waits for a connection that a CHECK can be sent on, where there is none now: the gap between a daemon and the next one on the same
    /// socket. No longer than a CHECK may wait for its verdict, from the moment when the last connection was lost, and not at all where
    /// nobody listens.
    ///
    /// - Parameters:
    ///   - waiter: of the task that calls this. Its deadline is lost.
    ///   - milliseconds: how long instead, from now on.
    public func awaitConnection(on waiter: Waiter, milliseconds: Int64? = nil) async -> PolicyConnection? {
        let left = milliseconds ?? lostAtMilliseconds + configuration.deadlineMilliseconds - loop.nowMilliseconds
        guard left > 0 else { return nil }
        awaitingCount += 1
        defer {
            awaitingCount -= 1
            waiter.clearDeadline()
        }
        waiter.setDeadline(afterMilliseconds: left)
        while isPromising.contains(true), !isStopping, !waiter.isDue {
            await waiter.park()
            if let connection = usableConnection() { return connection }
        }
        return nil
    }

    private func note(_ index: Int, isPromising: Bool) {
        self.isPromising[index] = isPromising
        if awaitingCount > 0 { loop.wakeAll() }
    }

    /// Keeps a connection to each endpoint until ``stop()``. To be called once, on the client's loop.
    public func run(isolation: isolated (any Actor)? = #isolation) async {
        await withDiscardingTaskGroup { group in
            for index in endpoints.indices {
                // Naming the isolation is what makes a task inherit it.
                group.addImmediateTask(executorPreference: loop) {
                    _ = isolation
                    await self.maintain(index)
                }
                group.addImmediateTask(executorPreference: loop) {
                    _ = isolation
                    await self.serveLeaving(index)
                }
            }
        }
    }

    /// Keeps the connection to one endpoint until ``stop()``.
    private func maintain(_ index: Int) async {
        let endpoint = endpoints[index]
        let waiter = Waiter(loop: loop)
        let pauses = configuration.reconnectMilliseconds
        var pause = pauses.lowerBound
        var lastComplaint: String?
        var isSaidToAnswer = false
        var leftAt: Int64 = 0
        while !isStopping {
            let complaint: String
            let start = loop.nowMilliseconds
            do {
                let connection = try await PolicyConnection.open(
                    endpoint, configuration, on: Waiter(loop: loop), unless: { self.isStopping })
                retireLeaving(index)
                connections[index] = connection
                note(index, isPromising: true)
                if !isSaidToAnswer { logger.info("asking \(connection.session.hello.name) on \(endpoint.name)") }
                isSaidToAnswer = true
                let closingWords = await connection.serveUntilLeaving { self.isStopping }
                connections[index] = nil
                leftAt = loop.nowMilliseconds
                lostAtMilliseconds = leftAt
                if closingWords == nil { hand(connection, of: index) }
                complaint = closingWords ?? "the daemon is draining"
            } catch {
                // Who connects and is not greeted may have come while a daemon starts.
                let isGreetingLate = (error as? ProtocolError)?.code == .helloLate
                if !isGreetingLate || loop.nowMilliseconds - leftAt >= configuration.successionMilliseconds { retireLeaving(index) }
                note(index, isPromising: isGreetingLate)
                complaint = "\(error)"
            }
            guard !isStopping else { return }
            // A daemon that greets and leaves again at once is no better than one that is not there.
            if loop.nowMilliseconds - start > pauses.upperBound { (pause, lastComplaint) = (pauses.lowerBound, nil) }
            // Said once, not at each try: an outage of an hour is not a thousand lines.
            if complaint != lastComplaint {
                logger.warning("policy socket \(endpoint.name): \(complaint)")
                isSaidToAnswer = false
            }
            lastComplaint = complaint
            await waiter.sleep(milliseconds: Int64.random(in: pause / 2...pause), unless: { self.isStopping })
            pause = min(pause * 2, pauses.upperBound)
        }
    }

    /// Serves the connections to one endpoint that its daemon wants to end, until ``stop()``. One is still asked, for want of
    /// another, until ``maintain(_:)`` has connected again or failed to: so a daemon that makes its clients come anew, or
    /// another that takes its place, is asked without a gap.
    private func serveLeaving(_ index: Int) async {
        let waiter = leavingWaiters[index]
        while !isStopping {
            guard let connection = leaving[index].first else {
                await waiter.park()
                continue
            }
            await connection.serveToTheEnd { self.isStopping }
            leaving[index].removeFirst()
            if !connection.isRetired { lostAtMilliseconds = loop.nowMilliseconds }
        }
    }

    private func hand(_ connection: PolicyConnection, of index: Int) {
        retireLeaving(index)
        leaving[index].append(connection)
        leavingWaiters[index].wake()
    }

    private func retireLeaving(_ index: Int) {
        guard !leaving[index].isEmpty else { return }
        lostAtMilliseconds = loop.nowMilliseconds
        for connection in leaving[index] { connection.retire() }
    }

    /// Ends ``run()``. What still waits for a verdict is lost, so drain first.
    public func stop() {
        isStopping = true
        loop.wakeAll()
    }
}
