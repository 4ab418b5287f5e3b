import EventLoop
import Logging
import PolicyClient
import Testing

/// A worker as the proxy has them, on which a test plays both sides: the client under test, and the daemon it meets.
actor Stage {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }

    /// Why ``meet(_:greeting:)`` opened no connection.
    private(set) var failure: (any Error)?
    /// Why the connection that it opened has ended.
    private(set) var closingWords: String?
    private var connection: PolicyConnection?
    private var client: PolicyClient?
    private(set) var hasStopped = false
    private var isStopping = false

    private init(loop: EventLoop) { self.loop = loop }

    /// Runs `body` on a stage of its own.
    static func run(_ body: @escaping @Sendable (isolated Stage) async throws -> Void) async throws {
        let loop = try EventLoop()
        let thread = try SystemThread(name: "stage") { loop.run() }
        let stage = Stage(loop: loop)
        let result = await Task(executorPreference: loop) { try await body(stage) }.result
        await stage.leave()
        thread.join()
        try result.get()
    }

    private func leave() { loop.stop() }

    /// Takes turns until `condition` holds.
    func until(_ condition: () -> Bool) async {
        let waiter = Waiter(loop: loop)
        waiter.setDeadline(afterMilliseconds: Stage.hangMilliseconds)
        while !condition() {
            if waiter.isDue {
                Issue.record("it never came to that")
                return
            }
            await Task.yield()
        }
    }

    /// No test waits for time to pass; one that waits so long has hung.
    static let hangMilliseconds: Int64 = 20_000

    /// Takes `count` turns.
    func turns(_ count: Int) async {
        for _ in 0..<count { await Task.yield() }
    }

    // MARK: One connection

    /// Connects a client to a daemon, and serves the connection in a task of its own until it ends.
    ///
    /// - Parameter greeting: what the daemon sends once it has read the client's HELLO.
    /// - Returns: the daemon's end, and the client's, unless the client would not have the daemon: ``failure`` says why.
    func meet(
        _ configuration: PolicyClient.Configuration = .patient, greeting: [UInt8] = Frames.hello()
    ) async throws -> (FakePeer, PolicyConnection?) {
        let daemon = try FakeDaemon(loop: loop)
        let endpoint = try PolicyClient.Endpoint(socketPath: daemon.path)
        Task(executorPreference: loop) { await self.open(endpoint, configuration) }
        let peer = await daemon.accept()
        #expect(await peer.frame()?.type == .hello)
        peer.send(greeting)
        await until { connection != nil || failure != nil }
        return (peer, connection)
    }

    private func open(_ endpoint: PolicyClient.Endpoint, _ configuration: PolicyClient.Configuration) async {
        do {
            let connection = try await PolicyConnection.open(endpoint, configuration, on: Waiter(loop: loop))
            self.connection = connection
            closingWords = await connection.serve { self.isStopping }
        } catch {
            failure = error
        }
    }

    func stopServing() {
        isStopping = true
        loop.wakeAll()
    }

    // MARK: A client of several daemons

    /// Whether a task waits for a connection, and what that came to.
    private(set) var isAwaiting = false
    private(set) var awaited: PolicyConnection?

    /// Starts a client that keeps a connection to each of `daemons`.
    func keepAsking(
        _ paths: [String], _ configuration: PolicyClient.Configuration = .patient, logger: Logger = .silent
    ) throws -> PolicyClient {
        let client = PolicyClient(
            try paths.map(PolicyClient.Endpoint.init), configuration: configuration, loop: loop, logger: logger)
        self.client = client
        Task(executorPreference: loop) { await self.run() }
        return client
    }

    /// Has a task wait for a connection of the client's.
    func awaitConnection() {
        isAwaiting = true
        Task(executorPreference: loop) { await self.wait() }
    }

    private func wait() async {
        awaited = await client?.awaitConnection(on: Waiter(loop: loop))
        isAwaiting = false
    }

    private func run() async {
        await client?.run()
        hasStopped = true
    }
}

extension PolicyClient.Configuration {
    /// Deadlines so long that nothing in a test meets one.
    static var patient: PolicyClient.Configuration {
        var configuration = PolicyClient.Configuration(name: "test")
        configuration.deadlineMilliseconds = Stage.hangMilliseconds
        configuration.silenceMilliseconds = Stage.hangMilliseconds
        configuration.helloTimeoutMilliseconds = Stage.hangMilliseconds
        configuration.reconnectMilliseconds = 1...2
        return configuration
    }

    /// Deadlines that have passed as soon as they are looked at.
    static var impatient: PolicyClient.Configuration {
        var configuration = patient
        configuration.deadlineMilliseconds = 0
        return configuration
    }
}

extension Logger {
    static var silent: Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }
}
