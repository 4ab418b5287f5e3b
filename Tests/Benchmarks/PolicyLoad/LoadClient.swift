import Bytes
import EventLoop
import PolicyProtocol

/// One connection to a policy daemon, with as many CHECKs unanswered as it is told.
actor LoadClient {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
    private let checks: [[UInt8]]
    private var socket: Socket?
    private let waiter: Waiter
    private let input = ByteBuffer(capacity: 256 * 1024)
    private let output = ByteBuffer(capacity: 256 * 1024)
    private var ids = CheckIDs()

    init(loop: EventLoop, checks: [[UInt8]]) {
        self.loop = loop
        self.checks = checks
        waiter = Waiter(loop: loop)
    }

    func connect(to path: String) async throws {
        let address = try SocketAddress.unix(path: path)
        let socket = try await Socket.connect(to: address, on: waiter, timeoutMilliseconds: 1000)
        socket.waiter = waiter
        self.socket = socket
        try ClientHello(name: "policy-load").encode(to: output)
        guard socket.send(output) == .sent else { throw ProtocolError(.helloExpected, "the HELLO could not be sent") }
        let input = self.input
        while true {
            let bytes = input.bytes
            if case .frame(let header) = try FrameHeader.parse(bytes, maximumFrameBytes: ProtocolLimits.helloBytes) {
                input.consume(header.frameByteCount)
                return
            }
            try await receive()
        }
    }

    /// Asks `count` times and waits for all answers.
    func ask(_ count: Int, inFlight: Int) async throws -> (allowed: Int, denied: Int) {
        var (sent, allowed, denied) = (0, 0, 0)
        while allowed + denied < count {
            while sent < count, sent - allowed - denied < inFlight {
                try append(sent)
                sent += 1
            }
            while socket?.send(output) == .wouldBlock, socket?.isReadable == false { await waiter.park() }
            try await receive()
            while let isAllowed = try nextVerdict() {
                if isAllowed { allowed += 1 } else { denied += 1 }
            }
        }
        return (allowed, denied)
    }

    private func nextVerdict() throws -> Bool? {
        let input = self.input
        let bytes = input.bytes
        let limit = ProtocolLimits.defaultFrameBytes
        guard case .frame(let header) = try FrameHeader.parse(bytes, maximumFrameBytes: limit) else { return nil }
        guard header.type == .verdict else { throw ProtocolError(.frameUnexpected, "no verdict") }
        let verdict = try VerdictMessage.parse(bytes.extracting(header.payloadRange))
        input.consume(header.frameByteCount)
        return verdict.decision == .allow
    }

    private func append(_ number: Int) throws {
        guard let id = ids.next() else { throw ProtocolError(.idReused, "out of ids") }
        let start = output.count
        output.append(checks[number % checks.count])
        for byte in 0..<4 { output[start + 4 + byte] = UInt8(truncatingIfNeeded: id >> UInt32(24 - 8 * byte)) }
    }

    private func receive() async throws {
        guard let socket else { return }
        while !socket.isReadable { await waiter.park() }
        switch socket.receive(into: input, room: 64 * 1024) {
        case .received, .wouldBlock: return
        case .ended: throw ProtocolError(.helloExpected, "the daemon closed the connection")
        case .failed(let code): throw SystemError("receive", code: code)
        }
    }

    func stop() {
        socket?.close()
        loop.stop()
    }
}
