import EventLoop
import Logging
import PolicyProtocol

/// Asks policy daemons over their sockets: one worker's side of it.
///
/// It keeps one connection to each address, pipelines the CHECKs of all exchanges on it, sends what a turn collected in one
/// write, and connects again where a connection is lost. A CHECK is sent once: whether a lost one was counted cannot be
/// known, so its request is denied, not asked again.
///
/// It belongs to one actor, whose executor is its loop. One task of that keeps the connections, others ask, with headers by names in lower
/// case. Tests/PolicyClientTests/ProgramExampleTests.swift has the actor, its loop and its thread, and what a verdict says, as well:
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

    private var configuration: Configuration
    private let loop: EventLoop
    private let logger: Logger
    /// Each endpoint's.
    private var links: [DaemonLink] = []
    private var next = 0
    /// Those of the endpoints before: asked for want of a connection to the ones of now, until there is one, or none is to be had.
    private var former: [DaemonLink] = []
    /// Every link that has yet to end.
    private var running: [DaemonLink] = []
    private var toRun: [DaemonLink] = []
    private let starter: Waiter
    /// When the endpoints were named that are asked now.
    private var namedAtMilliseconds: Int64
    private var isStopping = false
    /// When the last connection was lost that a CHECK could be sent on.
    private var lostAtMilliseconds: Int64
    /// How many wait for a connection.
    private var awaitingCount = 0

    public init(_ endpoints: [Endpoint], configuration: Configuration, loop: EventLoop, logger: Logger) {
        self.configuration = configuration
        self.loop = loop
        self.logger = logger
        starter = Waiter(loop: loop)
        namedAtMilliseconds = loop.nowMilliseconds
        lostAtMilliseconds = loop.nowMilliseconds
        name(endpoints)
    }

    private func name(_ endpoints: [Endpoint]) {
        links = endpoints.map { DaemonLink($0, configuration, of: self, loop: loop, logger: logger) }
        toRun += links
        starter.wake()
    }

    /// Asks others from now on, or differently, on new connections. What was asked before is still answered; until one of `endpoints` has
    /// greeted, or none can be had there at once, those before are asked as they were.
    public func ask(_ endpoints: [Endpoint], configuration: Configuration) {
        guard !isStopping else { return }
        if former.isEmpty { former = links } else { for link in links { link.retire() } }
        self.configuration = configuration
        namedAtMilliseconds = loop.nowMilliseconds
        lostAtMilliseconds = loop.nowMilliseconds
        next = 0
        name(endpoints)
        loop.wakeAll()
    }

    /// A connection that a CHECK can be sent on now, each in its turn; nil where no daemon answers.
    public func usableConnection() -> PolicyConnection? {
        let links = self.links
        for _ in links.indices {
            next = next + 1 < links.count ? next + 1 : 0
            if let connection = links[next].connection, connection.isUsable { return connection }
        }
        for link in links {
            if let connection = link.connectionMeanwhile { return connection }
        }
        for link in former {
            if let connection = link.connection, connection.isUsable { return connection }
            if let connection = link.connectionMeanwhile { return connection }
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
        while isPromising, !isStopping, !waiter.isDue {
            await waiter.park()
            if let connection = usableConnection() { return connection }
        }
        return nil
    }

    private var isPromising: Bool {
        let links = self.links
        return links.contains { $0.isPromising }
    }

    /// A connection was lost that a CHECK could be sent on.
    func noteLoss() { lostAtMilliseconds = loop.nowMilliseconds }

    /// An attempt to connect has come to something or not.
    func noteAttempt() {
        if awaitingCount > 0 { loop.wakeAll() }
        guard !former.isEmpty else { return }
        let isLate = loop.nowMilliseconds - namedAtMilliseconds >= configuration.successionMilliseconds
        let links = self.links
        guard isLate || !isPromising || links.contains(where: { $0.connection != nil }) else { return }
        for link in former { link.retire() }
        former = []
        loop.wakeAll()
    }

    /// Keeps a connection to each endpoint until ``stop()``. To be called once, on the client's loop.
    public func run(isolation: isolated (any Actor)? = #isolation) async {
        await withDiscardingTaskGroup { group in
            while !isStopping {
                while let link = toRun.popLast() {
                    running.append(link)
                    // Naming the isolation is what makes a task inherit it.
                    group.addImmediateTask(executorPreference: loop) {
                        _ = isolation
                        await link.maintain()
                    }
                    group.addImmediateTask(executorPreference: loop) {
                        _ = isolation
                        await link.serveLeaving()
                        self.running.removeAll { $0 === link }
                    }
                }
                await starter.park()
            }
        }
    }

    /// Ends ``run()``. What still waits for a verdict is lost, so drain first.
    public func stop() {
        isStopping = true
        for link in running { link.stop() }
        loop.wakeAll()
    }
}
