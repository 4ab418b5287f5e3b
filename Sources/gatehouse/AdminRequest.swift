import ArgumentParser
import Bytes
import EventLoop
import HTTPMessage

/// Where a daemon's admin listener is: `127.0.0.1:9464`, `[::1]:9464` or `unix:/path`.
struct AdminPlace: ExpressibleByArgument, CustomStringConvertible {
    let description: String
    /// Nil for a Unix socket's path.
    private let place: HostAndPort?

    init?(argument: String) {
        description = argument
        guard !argument.hasPrefix("unix:") else {
            place = nil
            guard argument.hasPrefix("unix:/"), argument.utf8.count <= 5 + SocketAddress.maximumPathBytes else { return nil }
            return
        }
        guard let place = HostAndPort(argument) else { return nil }
        self.place = place
    }

    func addresses() throws -> [SocketAddress] {
        guard let place else { return [try .unix(path: String(description.dropFirst(5)))] }
        return try SocketAddress.resolve(host: place.host, port: place.port)
    }

    /// Sends a request, and returns what it is answered with.
    ///
    /// - Parameter method: `GET` or `POST`.
    /// - Throws: where nobody answers in time, or no HTTP.
    func ask(_ method: String, _ path: String) throws -> AdminReply {
        let addresses = try addresses()
        return try onLoop { loop in try await AdminRequest(loop: loop).ask(method, path, at: addresses) }.get()
    }
}

/// What an admin listener answers.
struct AdminReply: Sendable {
    let status: UInt16
    let body: String
}

private actor AdminRequest {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
    private let waiter: Waiter

    private static let connectMilliseconds: Int64 = 2_000
    /// A little longer than the listener waits for what it answers.
    private static let answerMilliseconds: Int64 = 12_000
    /// No answer is longer.
    private static let maximumBytes = 16 * 1024 * 1024

    init(loop: EventLoop) {
        self.loop = loop
        waiter = Waiter(loop: loop)
    }

    func ask(_ method: String, _ path: String, at addresses: [SocketAddress]) async throws -> AdminReply {
        let socket = try await connect(addresses)
        defer { socket.close() }
        socket.waiter = waiter
        waiter.setDeadline(afterMilliseconds: Self.answerMilliseconds)
        let output = ByteBuffer(capacity: 256)
        output.append(utf8: "\(method) \(path) HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        while !output.isEmpty {
            switch socket.send(output) {
            case .sent: break
            case .wouldBlock: try await park()
            case .failed(let code): throw Failure(SystemError.text(of: code))
            }
        }
        return try Self.read(try await everything(from: socket))
    }

    private func connect(_ addresses: [SocketAddress]) async throws -> Socket {
        var failure: any Error = Failure("no address")
        for address in addresses {
            do {
                return try await Socket.connect(to: address, on: waiter, timeoutMilliseconds: Self.connectMilliseconds)
            } catch {
                failure = error
            }
        }
        throw failure
    }

    /// What comes until the listener closes.
    private func everything(from socket: Socket) async throws -> ByteBuffer {
        let input = ByteBuffer(capacity: 4096)
        while input.count <= Self.maximumBytes {
            switch socket.isReadable ? socket.receive(into: input) : .wouldBlock {
            case .received: break
            case .wouldBlock: try await park()
            case .ended: return input
            case .failed(let code): throw Failure(SystemError.text(of: code))
            }
        }
        throw Failure("the answer is longer than \(Self.maximumBytes) bytes")
    }

    private func park() async throws {
        guard !waiter.isDue else { throw Failure("no answer in \(Self.answerMilliseconds / 1000) s") }
        await waiter.park()
    }

    private static func read(_ answer: ByteBuffer) throws -> AdminReply {
        do throws(MessageRefusal) {
            var scanner = HeadScanner()
            guard let end = try scanner.findEnd(in: answer.bytes, limits: HeadLimits()) else { throw MessageRefusal("The answer breaks off.") }
            var head = ResponseHead()
            try head.parse(answer.bytes, byteCount: end, answering: .other)
            guard case .length(let count) = head.framing, answer.count == end + count else { throw MessageRefusal("The answer breaks off.") }
            answer.consume(end)
            return AdminReply(status: head.status, body: answer.bytes.text)
        } catch {
            throw Failure("no admin listener: \(error.message)")
        }
    }
}
