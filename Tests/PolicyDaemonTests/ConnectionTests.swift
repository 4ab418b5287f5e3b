import Bytes
import Counters
import EventLoop
import Glibc
import Foundation
import Logging
import Policy
import PolicyProtocol
import Telemetry
import Testing

@testable import PolicyDaemon

/// Workers on a socket of their own, as `Daemon.run` starts them.
private final class RunningDaemon {
    let path: String
    private let crew: Crew
    private var workers: [DaemonWorker] = []
    private var threads: [SystemThread] = []

    let registry = MetricRegistry()
    private var setup: Setup

    init(
        workers count: Int = 1, _ configuration: String = "", maximumConnections: Int = 100,
        limits: DaemonLimits = DaemonLimits(helloMilliseconds: 60_000), decisionLog: LogWriter? = nil
    ) throws {
        path = "/tmp/gatehouse-test-\(getpid())-\(UInt32.random(in: .min ... .max)).sock"
        let setup = try PolicyDaemonTests.setup(configuration, decisionLog: decisionLog, registry: registry)
        self.setup = setup
        crew = Crew(maximumConnections: maximumConnections)
        let listener = try Listener.unix(path: path, mode: 0o660)
        let prepared = try Latch(count)
        for index in 0..<count {
            let worker = DaemonWorker(
                index: index, loop: try EventLoop(), doors: [DoorSettings(listener: listener, dialects: Set(Dialect.allCases))],
                crew: crew, setup, metrics: registry.makeWorkerMetrics(),
                limits: limits, prepared: prepared, logger: silent)
            crew.join(worker)
            workers.append(worker)
        }
        for worker in workers {
            Task(executorPreference: worker.loop) { try await worker.run() }
            threads.append(try SystemThread(name: "worker-\(worker.index)") { worker.loop.run() })
        }
        prepared.wait()
        for worker in workers { Task(executorPreference: worker.loop) { await worker.open() } }
    }

    /// How many connections each worker has.
    var connectionCounts: [Int] { crew.counts }

    /// Swaps the configuration twice, without waiting for the first one to be in force.
    func adopt(_ first: String, then second: String) async throws {
        let first = try PolicyDaemonTests.setup(first, replacing: setup, registry: registry)
        let second = try PolicyDaemonTests.setup(second, replacing: first, registry: registry)
        setup = second
        for worker in workers {
            let earlier = Task(executorPreference: worker.loop) { await worker.adopt(first) }
            await Task(executorPreference: worker.loop) { await worker.adopt(second) }.value
            await earlier.value
        }
    }

    /// Swaps the configuration, as a reload does.
    func adopt(_ configuration: String) async throws {
        setup = try PolicyDaemonTests.setup(configuration, replacing: setup, registry: registry)
        let setup = self.setup
        for worker in workers { await Task(executorPreference: worker.loop) { await worker.adopt(setup) }.value }
    }

    func beginDrain() async { for worker in workers { await worker.beginDrain() } }

    /// Waits for the workers' end.
    func join() {
        for thread in threads { thread.join() }
        crew.disband()
    }
}

/// A client of the socket, on a loop of its own.
private actor Client {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
    private let waiter: Waiter
    private let input = ByteBuffer(capacity: 4096)
    private let output = ByteBuffer(capacity: 4096)
    private var socket: Socket?

    static func connected(to path: String) async throws -> Client {
        let loop = try EventLoop()
        _ = try SystemThread(name: "client") { loop.run() }
        let client = Client(loop: loop)
        try await client.onLoop { try await $0.connect(to: path) }
        return client
    }

    /// Runs `body` on the client's loop from its first step to its last: a task that has not the loop for its executor resumes by
    /// way of the global pool, and may miss a wake-up meanwhile.
    nonisolated func onLoop<Result: Sendable>(
        _ body: @escaping @Sendable (isolated Client) async throws -> Result
    ) async throws -> Result {
        try await Task(executorPreference: loop) { try await body(self) }.value
    }

    private init(loop: EventLoop) {
        self.loop = loop
        waiter = Waiter(loop: loop)
    }

    private func connect(to path: String) async throws {
        let address = try SocketAddress.unix(path: path)
        socket = try await Socket.connect(to: address, on: waiter, timeoutMilliseconds: 5000)
        socket?.waiter = waiter
    }

    nonisolated func greet() async throws -> ReadFrame? { try await onLoop { try await $0.sayHello() } }

    private func sayHello() async throws -> ReadFrame? {
        try ClientHello(name: "test").encode(to: output)
        return try await exchange()
    }

    nonisolated func check(_ id: UInt32, _ authorization: String) async throws -> ReadFrame? {
        try await onLoop { try await $0.ask(id, authorization) }
    }

    private func ask(_ id: UInt32, _ authorization: String) async throws -> ReadFrame? {
        try appendCheck(id, [authorization], to: output)
        return try await exchange()
    }

    private func exchange() async throws -> ReadFrame? {
        _ = socket?.send(output)
        return try await receive()
    }

    /// The next frame; nil at the end of the connection.
    nonisolated func next() async throws -> ReadFrame? { try await onLoop { try await $0.receive() } }

    private func receive() async throws -> ReadFrame? {
        while true {
            if let frame = try readFrame(input) { return frame }
            guard let socket else { return nil }
            while !socket.isReadable { await waiter.park() }
            switch socket.receive(into: input) {
            case .received, .wouldBlock: continue
            case .ended, .failed: return nil
            }
        }
    }

    /// Asks and asks, without reading any answer, until the daemon hangs up. Returns how often.
    nonisolated func askWithoutReading() async throws -> Int { try await onLoop { try await $0.askOn() } }

    private func askOn() async throws -> Int {
        guard let socket else { return 0 }
        var asked: UInt32 = 0
        while !socket.isPeerGone {
            if output.isEmpty {
                asked += 1
                try appendCheck(asked, [], to: output)
            }
            switch socket.send(output) {
            case .sent: break
            case .wouldBlock: await waiter.park()
            // The loop may not have told yet that the daemon has hung up.
            case .failed: return Int(asked)
            }
        }
        return Int(asked)
    }

    func close() {
        socket?.close()
        loop.stop()
    }
}

@Suite struct `A daemon on its socket` {
    @Test func `spreads clients over its workers, and drains: GOAWAY, answers, then the end`() async throws {
        let daemon = try RunningDaemon(workers: 2)
        var clients: [Client] = []
        for _ in 0..<4 {
            let client = try await Client.connected(to: daemon.path)
            let hello = try await client.greet()
        guard case .hello = hello else { Issue.record("\(String(describing: hello))"); return }
            clients.append(client)
        }
        #expect(daemon.connectionCounts == [2, 2])
        let text = try bearer("a", expiresAt: 4_000_000_000)
        for (index, client) in clients.enumerated() {
            guard case .verdict(1, let verdict) = try await client.check(1, text) else { return #expect(Bool(false)) }
            #expect(verdict.isAllowed)
            #expect(verdict.response.contains("x-ratelimit-remaining: \(99 - index)"), "one counter for all workers")
        }
        await daemon.beginDrain()
        for client in clients {
            #expect(try await client.next() == .goAway)
            guard case .verdict(2, let verdict) = try await client.check(2, text) else { return #expect(Bool(false)) }
            #expect(verdict.isAllowed, "what is asked during a drain is answered")
        }
        #expect(unsafe access(daemon.path, F_OK) != 0, "nobody new can connect")
        for client in clients { await client.close() }
        daemon.join()
    }

    @Test func `refuses connections above its limit`() async throws {
        let daemon = try RunningDaemon(workers: 1, maximumConnections: 1)
        let first = try await Client.connected(to: daemon.path)
        guard case .hello = try await first.greet() else { return #expect(Bool(false)) }
        let second = try await Client.connected(to: daemon.path)
        #expect(try await second.next() == nil)
        await second.close()
        await daemon.beginDrain()
        #expect(try await first.next() == .goAway)
        await first.close()
        daemon.join()
    }

    @Test func `cuts off who says nothing`() async throws {
        var limits = DaemonLimits()
        limits.helloMilliseconds = 20
        let daemon = try RunningDaemon(workers: 1, limits: limits)
        let silent = try await Client.connected(to: daemon.path)
        #expect(try await silent.next() == nil)
        await silent.close()
        await daemon.beginDrain()
        daemon.join()
    }

    @Test func `stops reading from who doesn't read its verdicts, and then cuts it off`() async throws {
        var limits = DaemonLimits(helloMilliseconds: 60_000)
        limits.waitingOutputBytes = 10_000
        limits.outputStallMilliseconds = 50
        let daemon = try RunningDaemon(workers: 1, limits: limits)
        let client = try await Client.connected(to: daemon.path)
        let hello = try await client.greet()
        guard case .hello = hello else { Issue.record("\(String(describing: hello))"); return }
        let asked = try await client.askWithoutReading()
        #expect(asked < 100_000, "the sockets' buffers bound it")
        await client.close()
        await daemon.beginDrain()
        daemon.join()
    }

    @Test func `decides by another configuration at once, and leaves a client alone that need not greet anew`() async throws {
        let daemon = try RunningDaemon("limit: { count: 5 }")
        let client = try await Client.connected(to: daemon.path)
        guard case .hello = try await client.greet() else { return #expect(Bool(false)) }
        let text = try bearer("a", expiresAt: 4_000_000_000)
        guard case .verdict(1, let first) = try await client.check(1, text) else { return #expect(Bool(false)) }
        #expect(first.response.prefix(2) == ["x-ratelimit-limit: 5", "x-ratelimit-remaining: 4"])
        try await daemon.adopt("limit: { count: 9 }")
        guard case .verdict(2, let second) = try await client.check(2, text) else { return #expect(Bool(false)) }
        #expect(second.response.prefix(2) == ["x-ratelimit-limit: 9", "x-ratelimit-remaining: 7"], "the counters stay")
        await client.close()
        await daemon.beginDrain()
        daemon.join()
    }

    @Test func `asks a client to greet anew that was told of other headers, and cuts it off in the end`() async throws {
        let daemon = try RunningDaemon("drain_milliseconds: 30")
        let client = try await Client.connected(to: daemon.path)
        guard case .hello(let hello) = try await client.greet() else { return #expect(Bool(false)) }
        #expect(hello.wantedHeaders == ["authorization"])
        try await daemon.adopt("credentials: [header x-token]\nidentity_headers: { x-subject: userId }\ndrain_milliseconds: 30")
        #expect(try await client.next() == .goAway)
        let other = try await Client.connected(to: daemon.path)
        guard case .hello(let anew) = try await other.greet() else { return #expect(Bool(false)) }
        #expect(anew.wantedHeaders == ["x-token"])
        #expect(anew.ownedHeaders == ["x-subject"])
        #expect(try await client.next() == nil)
        await client.close()
        await other.close()
        await daemon.beginDrain()
        daemon.join()
    }

    @Test func `stays with the latest configuration, though an earlier one's store was waited for`() async throws {
        let daemon = try RunningDaemon()
        // A port that nobody listens on.
        try await daemon.adopt("limit: { count: 5 }\nredis: { url: \"redis://127.0.0.1:1\" }", then: "limit: { count: 7 }")
        let client = try await Client.connected(to: daemon.path)
        _ = try await client.greet()
        guard case .verdict(1, let verdict) = try await client.check(1, bearer("a", expiresAt: 4_000_000_000)) else { return #expect(Bool(false)) }
        #expect(verdict.reason == "allowed")
        #expect(verdict.response.first == "x-ratelimit-limit: 7")
        await client.close()
        await daemon.beginDrain()
        daemon.join()
    }

    @Test func `writes decisions to its log, a line each`() async throws {
        let path = "/tmp/gatehouse-test-\(getpid())-\(UInt32.random(in: .min ... .max)).log"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let writer = try LogWriter(path: path, lineAboutDropped: DecisionLog.lineAboutDropped)
        let thread = try SystemThread(name: "log") { writer.run() }
        let daemon = try RunningDaemon("limit: { count: 1 }\ndecision_log: { mode: denials, file: \(path) }", decisionLog: writer)
        let client = try await Client.connected(to: daemon.path)
        _ = try await client.greet()
        let text = try bearer("a", expiresAt: 4_000_000_000)
        _ = try await client.check(1, text)
        _ = try await client.check(2, text)
        _ = try await client.check(3, "")
        await client.close()
        await daemon.beginDrain()
        daemon.join()
        writer.finish()
        thread.join()
        let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
        #expect(lines.count == 2)
        let parts = [
            #""decision":"deny","reason":"limit-exceeded","status":429,"subject":"a","rule":"default","method":"GET","host":"localhost:3000""#,
            #""path":"/api/projects","client":"127.0.0.1","limits":[{"name":"default","limit":1,"remaining":0}],"duration_us":"#,
        ]
        for part in parts { #expect(lines.first?.contains(part) == true, "\(lines.first ?? "")") }
        #expect(lines.last?.contains(#""reason":"token-missing","status":401,"subject":null,"rule":"default""#) == true)
    }
}
