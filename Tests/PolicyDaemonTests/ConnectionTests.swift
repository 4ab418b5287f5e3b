import Bytes
import Counters
import EventLoop
import Glibc
import Logging
import Policy
import PolicyProtocol
import Testing

@testable import PolicyDaemon

/// Workers on a socket of their own, as `Daemon.run` starts them.
private final class RunningDaemon {
    let path: String
    private let crew: Crew
    private var workers: [DaemonWorker] = []
    private var threads: [SystemThread] = []

    init(workers count: Int, maximumConnections: Int = 100, limits: DaemonLimits = DaemonLimits(helloMilliseconds: 60_000)) throws {
        path = "/tmp/gatehouse-test-\(getpid())-\(UInt32.random(in: .min ... .max)).sock"
        var configuration = DaemonConfiguration(socketPath: path, key: key)
        configuration.maximumConnections = maximumConnections
        crew = Crew(maximumConnections: maximumConnections)
        let listener = try Listener.unix(path: path, mode: 0o660)
        let counting = CounterStore.Kind.memory(MemoryCounters(capacity: 1000))
        for index in 0..<count {
            let worker = DaemonWorker(
                index: index, loop: try EventLoop(), listener: listener, crew: crew, configuration, rules: PolicyRules(),
                counting: counting, limits: limits, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            crew.join(worker)
            workers.append(worker)
        }
        for worker in workers {
            Task(executorPreference: worker.loop) { try await worker.run() }
            threads.append(try SystemThread(name: "worker-\(worker.index)") { worker.loop.run() })
        }
    }

    /// How many connections each worker has.
    var connectionCounts: [Int] { crew.counts }

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
            if socket.send(output) == .wouldBlock { await waiter.park() }
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
        let text = "Bearer \(token("a", expiresAt: 4_000_000_000))"
        for (index, client) in clients.enumerated() {
            guard case .verdict(1, let verdict) = try await client.check(1, text) else { return #expect(Bool(false)) }
            #expect(verdict.isAllowed)
            #expect(verdict.response[1] == "x-ratelimit-remaining: \(99 - index)", "one counter for all workers")
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

    @Test func `cuts off who says no HELLO`() async throws {
        var limits = DaemonLimits()
        limits.helloMilliseconds = 20
        let daemon = try RunningDaemon(workers: 1, limits: limits)
        let silent = try await Client.connected(to: daemon.path)
        #expect(try await silent.next() == .error("hello-late"))
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
}
