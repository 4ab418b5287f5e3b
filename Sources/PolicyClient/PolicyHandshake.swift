import Bytes
import EventLoop
import PolicyProtocol

extension PolicyConnection {
    /// Connects to `endpoint` and exchanges HELLOs with it, within the protocol's own deadline for that.
    ///
    /// - Parameters:
    ///   - waiter: of the task that calls this and then ``serve(unless:)``.
    ///   - isStopping: whether to give up; wake all of the loop's waiters when that changes.
    /// - Throws: `SystemError` or `ProtocolError`: why nobody can be asked there now.
    public static func open(
        _ endpoint: PolicyClient.Endpoint, _ configuration: PolicyClient.Configuration, on waiter: Waiter,
        unless isStopping: () -> Bool = { false }
    ) async throws -> PolicyConnection {
        let timeout = configuration.helloTimeoutMilliseconds
        let socket = try await Socket.connect(
            to: endpoint.address, on: waiter, timeoutMilliseconds: timeout, unless: isStopping)
        socket.waiter = waiter
        waiter.setDeadline(afterMilliseconds: timeout)
        defer { waiter.clearDeadline() }
        do {
            let offer = ClientHello(name: configuration.name)
            let buffer = ByteBuffer(capacity: 64 * 1024)
            try offer.encode(to: buffer)
            // A new socket has room for it.
            if case .failed(let code) = socket.send(buffer) { throw SystemError("send HELLO", code: code) }
            buffer.clear()
            while true {
                if let hello = try takeHello(off: buffer, answering: offer) {
                    return PolicyConnection(PolicySession(hello), configuration, socket, buffer, waiter)
                }
                while !socket.isReadable, !waiter.isDue, !isStopping() { await waiter.park() }
                guard !waiter.isDue, !isStopping() else { throw ProtocolError(.helloLate, "no HELLO in \(timeout) ms") }
                switch socket.receive(into: buffer) {
                case .received, .wouldBlock: break
                case .ended: throw ProtocolError(.helloExpected, "the daemon closed the connection before its HELLO")
                case .failed(let code): throw SystemError("receive HELLO", code: code)
                }
            }
        } catch {
            socket.close()
            throw error
        }
    }

    /// Takes the daemon's HELLO off the buffer, and leaves what came behind it; nil while it is not complete.
    private static func takeHello(
        off buffer: ByteBuffer, answering offer: ClientHello
    ) throws(ProtocolError) -> DaemonHello? {
        let bytes = buffer.bytes
        guard case .frame(let header) = try FrameHeader.parse(bytes, maximumFrameBytes: ProtocolLimits.helloBytes) else {
            return nil
        }
        let payload = bytes.extracting(header.payloadRange)
        switch header.type {
        case .hello:
            let hello = try DaemonHello.parse(payload, answering: offer)
            buffer.consume(header.frameByteCount)
            return hello
        case .error:
            let report = try ErrorReport.parse(payload, id: header.id)
            throw ProtocolError(.helloExpected, "the daemon reports \(report.code): \(report.message)")
        default: throw ProtocolError(.helloExpected, "another frame than HELLO")
        }
    }
}
