import Bytes
import EventLoop
import Testing

@testable import ReverseProxy

/// An endpoint and who connects to it, on one loop.
private actor Connecting {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
    /// A test that waits so long has hung.
    private static let hangMilliseconds: Int64 = 10_000

    init(loop: EventLoop) { self.loop = loop }

    /// Whether connecting fails where the endpoint takes no more than the beginning of what comes first, and whether the endpoint then sees the
    /// end of the connection.
    func endsWithoutItsHeader() async throws -> (fails: Bool, isClosed: Bool) {
        defer { loop.stop() }
        let listener = try Listener.tcp(SocketAddress.resolve(host: "127.0.0.1", port: 0)[0])
        let endpoint = EndpointStatus(Endpoint(url: "http://a", host: "a", port: 80), addresses: [listener.address], slowStartMilliseconds: 0)
        let waiter = Waiter(loop: loop)
        let acceptor = try Acceptor(listener, on: waiter)
        defer { acceptor.close() }
        // More than any socket takes at once.
        let header = ByteBuffer(capacity: 64 << 20)
        header.append(Array(repeating: 0x50, count: 64 << 20))
        var fails = false
        do throws(ConnectFailure) {
            _ = try await endpoint.connect(on: Waiter(loop: loop), timeoutMilliseconds: Self.hangMilliseconds, sending: header)
        } catch {
            if case .endpoint = error { fails = true }
        }
        while !acceptor.mayAccept { await waiter.park() }
        guard case .connection(let peer, _) = acceptor.accept() else { return (fails, false) }
        return (fails, await isEnded(peer))
    }

    private func isEnded(_ socket: Socket) async -> Bool {
        let waiter = Waiter(loop: loop)
        socket.waiter = waiter
        waiter.setDeadline(afterMilliseconds: Self.hangMilliseconds)
        let input = loop.buffers.take()
        defer { socket.close() }
        while true {
            while !socket.isReadable, !waiter.isDue { await waiter.park() }
            guard !waiter.isDue else { return false }
            switch socket.receive(into: input) {
            case .received: input.clear()
            case .wouldBlock: continue
            case .ended, .failed: return true
            }
        }
    }
}

@Suite struct `A connection that begins with a header` {
    /// It would be held for good otherwise: nobody knows of it, and the poller keeps its place.
    @Test func `is closed where the header can't be sent at once`() async throws {
        let loop = try EventLoop()
        let thread = try SystemThread(name: "connecting") { loop.run() }
        let connecting = Connecting(loop: loop)
        let outcome = try await Task(executorPreference: loop) { try await connecting.endsWithoutItsHeader() }.value
        thread.join()
        #expect(outcome == (true, true))
    }
}
