import Bytes
import EventLoop
import Synchronization
import Testing

/// What the server does with a request for a path.
enum Reply: Sendable {
    case answer(status: Int = 200, fields: [String] = [], body: String)
    /// Says nothing until it is told something else.
    case silence
}

/// An HTTP/1.1 server of a test's own: an answer for each path, one request a connection.
final class HTTPServer: Sendable {
    private let worker: Worker
    private let thread: SystemThread
    private let running: Task<Void, any Error>
    let port: Int

    init() throws {
        let listener = try Listener.tcp(SocketAddress.resolve(host: "127.0.0.1", port: 0)[0])
        port = try #require(Int("\(listener.address)".split(separator: ":").last ?? ""))
        let loop = try EventLoop()
        let worker = Worker(loop: loop)
        self.worker = worker
        thread = try SystemThread(name: "http") { loop.run() }
        running = Task(executorPreference: loop) { try await worker.run(listener) }
    }

    deinit {
        let worker = self.worker
        Task { await worker.drain() }
    }

    func url(_ path: String) -> String { "http://127.0.0.1:\(port)\(path)" }

    func set(_ path: String, _ reply: Reply) async { await worker.set(path, reply) }

    func set(_ path: String, _ body: String, _ fields: String...) async {
        await worker.set(path, .answer(fields: fields, body: body))
    }

    /// How often a path was asked for.
    func requests(_ path: String) -> Int { worker.requests.withLock { $0[path] ?? 0 } }

    /// Ends it: from then on connections are refused.
    func stop() async throws {
        await worker.drain()
        try await running.value
        thread.join()
    }
}

private actor Worker {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
    nonisolated let requests = Mutex<[String: Int]>([:])
    private var replies: [String: Reply] = [:]
    private var isDraining = false

    init(loop: EventLoop) { self.loop = loop }

    func set(_ path: String, _ reply: Reply) {
        replies[path] = reply
        loop.wakeAll()
    }

    func drain() {
        isDraining = true
        loop.wakeAll()
    }

    func run(_ listener: Listener) async throws {
        defer { loop.stop() }
        try await withThrowingDiscardingTaskGroup { group in
            let waiter = Waiter(loop: loop)
            let acceptor = try Acceptor(listener, on: waiter)
            while !isDraining {
                while !acceptor.mayAccept, !isDraining { await waiter.park() }
                guard case .connection(let socket, _) = acceptor.accept() else { continue }
                group.addImmediateTask(executorPreference: loop) { await self.serve(socket) }
            }
            acceptor.close()
        }
    }

    private func serve(_ socket: Socket) async {
        defer { socket.close() }
        let waiter = Waiter(loop: loop)
        socket.waiter = waiter
        let buffer = ByteBuffer(capacity: 4096)
        while !buffer.bytes.text.contains("\r\n\r\n") {
            while !socket.isReadable, !isDraining { await waiter.park() }
            switch socket.receive(into: buffer) {
            case .received: continue
            case .wouldBlock: if isDraining { return }
            case .ended, .failed: return
            }
        }
        let path = String(buffer.bytes.text.split(separator: " ")[1])
        buffer.clear()
        requests.withLock { $0[path, default: 0] += 1 }
        while case .silence? = replies[path] {
            if isDraining || socket.isPeerGone { return }
            await waiter.park()
        }
        guard case .answer(let status, let fields, let body) = replies[path] ?? .answer(status: 404, body: "") else { return }
        let lines = ["HTTP/1.1 \(status) X"] + fields + ["Content-Length: \(body.utf8.count)", "Connection: close", "", body]
        buffer.append(utf8: lines.joined(separator: "\r\n"))
        while socket.send(buffer) == .wouldBlock {
            while !socket.isWritable, !socket.isPeerGone { await waiter.park() }
            if socket.isPeerGone { return }
        }
        // Waits for the client's end: a close with bytes unread would reset what it has not read yet.
        socket.endSending()
        while !socket.isPeerGone, !isDraining { await waiter.park() }
    }
}
