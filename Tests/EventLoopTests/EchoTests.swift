import Bytes
import EventLoop
import Testing

/// A worker as both daemons build theirs: an actor on its loop, whose connections are tasks of a discarding group.
actor EchoWorker {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
    private var isDraining = false
    private var served = 0

    init(loop: EventLoop) { self.loop = loop }

    func run(_ listener: Listener) async throws -> Int {
        defer { loop.stop() }
        try await withThrowingDiscardingTaskGroup { group in
            let waiter = Waiter(loop: loop)
            let acceptor = try Acceptor(listener, on: waiter)
            while !isDraining {
                while !acceptor.mayAccept, !isDraining { await waiter.park() }
                guard case .connection(let socket, _) = acceptor.accept() else { continue }
                group.addImmediateTask(executorPreference: loop) { await self.echo(socket) }
            }
            acceptor.close()
        }
        return served
    }

    private func echo(_ socket: Socket) async {
        let waiter = Waiter(loop: loop)
        socket.waiter = waiter
        let buffer = loop.buffers.take()
        while !isDraining {
            while !socket.isReadable, !isDraining { await waiter.park() }
            switch socket.receive(into: buffer) {
            case .received:
                served += 1
                while socket.send(buffer) == .wouldBlock { await waiter.park() }
            case .wouldBlock: continue
            case .ended, .failed: return socket.close()
            }
        }
        socket.close()
    }

    func drain() {
        isDraining = true
        loop.wakeAll()
    }
}

actor Client {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
    init(loop: EventLoop) { self.loop = loop }

    func exchange(_ text: StaticString, rounds: Int, with address: SocketAddress) async throws -> Int {
        let waiter = Waiter(loop: loop)
        let socket = try await Socket.connect(to: address, on: waiter, timeoutMilliseconds: 1000)
        socket.waiter = waiter
        let buffer = ByteBuffer(capacity: 64)
        var echoed = 0
        for _ in 0..<rounds {
            buffer.append(text)
            let sent = buffer.count
            #expect(socket.send(buffer) == .sent)
            while buffer.count < sent {
                while !socket.isReadable { await waiter.park() }
                guard case .received = socket.receive(into: buffer) else { continue }
            }
            if buffer.bytes.equals(text) { echoed += 1 }
            buffer.clear()
        }
        return echoed
    }

    /// Parks until a deadline, and says how many milliseconds that took.
    func timeDeadline(milliseconds: Int64) async -> Int64 {
        let waiter = Waiter(loop: loop)
        let start = Clock.monotonicNanoseconds()
        await waiter.sleep(milliseconds: milliseconds)
        return (Clock.monotonicNanoseconds() - start) / 1_000_000
    }

    func stop() { loop.stop() }
}

@Test func `workers share a listener and echo to many clients, then drain`() async throws {
    let listener = try Listener.tcp(SocketAddress.resolve(host: "127.0.0.1", port: 0)[0])
    var workers: [EchoWorker] = []
    var threads: [SystemThread] = []
    for index in 0..<2 {
        let loop = try EventLoop()
        workers.append(EchoWorker(loop: loop))
        threads.append(try SystemThread(name: "echo-\(index)") { loop.run() })
    }
    let running = workers.map { worker in
        Task(executorPreference: worker.loop) { try await worker.run(listener) }
    }
    let loop = try EventLoop()
    let client = Client(loop: loop)
    threads.append(try SystemThread(name: "client") { loop.run() })
    let echoed = try await withThrowingTaskGroup(of: Int.self) { group in
        for _ in 0..<20 {
            group.addTask(executorPreference: loop) { try await client.exchange("hello", rounds: 50, with: listener.address) }
        }
        return try await group.reduce(0, +)
    }
    #expect(echoed == 20 * 50)
    for worker in workers { await worker.drain() }
    var served = 0
    for task in running { served += try await task.value }
    #expect(served >= 20 * 50)
    await client.stop()
    for thread in threads { thread.join() }
}

@Test func `a deadline wakes its task when it has passed and not before`() async throws {
    let loop = try EventLoop()
    let client = Client(loop: loop)
    let thread = try SystemThread(name: "deadline") { loop.run() }
    let took = await client.timeDeadline(milliseconds: 30)
    #expect(took >= 29)
    await client.stop()
    thread.join()
}
