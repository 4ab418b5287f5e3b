import Bytes
import EventLoop
import Glibc

/// One connection to a policy daemon, with as many questions unanswered as it is told.
actor LoadClient {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
    private var dialect: any LoadDialect
    private var socket: Socket?
    private let waiter: Waiter
    private let input = ByteBuffer(capacity: 256 * 1024)
    private let output = ByteBuffer(capacity: 256 * 1024)

    init(loop: EventLoop, _ dialect: any LoadDialect) {
        self.loop = loop
        self.dialect = dialect
        waiter = Waiter(loop: loop)
    }

    func connect(to path: String) async throws {
        let address = try SocketAddress.unix(path: path)
        let socket = try await Socket.connect(to: address, on: waiter, timeoutMilliseconds: 1000)
        socket.waiter = waiter
        self.socket = socket
        output.append(try dialect.greeting)
        guard socket.send(output) == .sent else { throw SystemError("send the greeting", code: EAGAIN) }
        while try !dialect.takeGreeting(input) { try await receive() }
    }

    /// Asks `count` times and waits for all answers.
    func ask(_ count: Int, inFlight: Int) async throws -> (allowed: Int, denied: Int) {
        var (sent, allowed, denied) = (0, 0, 0)
        while allowed + denied < count {
            while sent < count, sent - allowed - denied < inFlight {
                try dialect.appendQuestion(sent % dialect.questionCount, to: output)
                sent += 1
            }
            while socket?.send(output) == .wouldBlock, socket?.isReadable == false { await waiter.park() }
            try await receive()
            while let isAllowed = try dialect.takeAnswer(input) {
                if isAllowed { allowed += 1 } else { denied += 1 }
            }
        }
        return (allowed, denied)
    }

    private func receive() async throws {
        guard let socket else { return }
        while !socket.isReadable { await waiter.park() }
        switch socket.receive(into: input, room: 64 * 1024) {
        case .received, .wouldBlock: return
        case .ended: throw SystemError("receive", code: ECONNRESET)
        case .failed(let code): throw SystemError("receive", code: code)
        }
    }

    func stop() {
        socket?.close()
        loop.stop()
    }
}
