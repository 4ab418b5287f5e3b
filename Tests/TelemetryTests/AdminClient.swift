import Bytes
import EventLoop
import Logging
import Testing

@testable import Telemetry

/// Speaks to an admin listener over real sockets, from a loop of its own.
actor AdminClient {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
    private let address: SocketAddress
    private var idle: [Socket] = []

    init(loop: EventLoop, address: SocketAddress) {
        self.loop = loop
        self.address = address
    }

    /// Sends each of `parts` by itself, and returns everything that comes until the server closes, or nil after five seconds.
    nonisolated func ask(_ parts: [String]) async -> String? {
        // A task that parks must run on the loop through and through.
        await Task(executorPreference: loop) { await self.exchange(parts) }.value
    }

    private func exchange(_ parts: [String]) async -> String? {
        let waiter = Waiter(loop: loop)
        guard let socket = await connect(waiter) else { return "not connected" }
        defer { socket.close() }
        socket.waiter = waiter
        let received = ByteBuffer(capacity: 4096)
        for part in parts {
            let output = ByteBuffer(capacity: part.utf8.count)
            output.append(utf8: part)
            while socket.send(output) == .wouldBlock { await waiter.park() }
            await waiter.yieldTurn()
        }
        waiter.setDeadline(afterMilliseconds: 5000)
        while !waiter.isDue {
            while !socket.isReadable, !waiter.isDue { await waiter.park() }
            switch socket.receive(into: received) {
            case .ended: return received.bytes.text
            case .failed: return received.bytes.text + " [reset]"
            case .received, .wouldBlock: continue
            }
        }
        return nil
    }

    nonisolated func ask(_ text: String) async -> String? { await ask([text]) }

    private func connect(_ waiter: Waiter) async -> Socket? {
        try? await Socket.connect(to: address, on: waiter, timeoutMilliseconds: 1000)
    }

    /// Connects, has a request answered, and keeps the connection; returns what came.
    nonisolated func askAndStay(_ text: String) async -> String {
        await Task(executorPreference: loop) { await self.exchangeAndStay(text) }.value
    }

    private func exchangeAndStay(_ text: String) async -> String {
        let waiter = Waiter(loop: loop)
        guard let socket = await connect(waiter) else { return "not connected" }
        socket.waiter = waiter
        idle.append(socket)
        let buffer = ByteBuffer(capacity: 4096)
        buffer.append(utf8: text)
        #expect(socket.send(buffer) == .sent)
        while buffer.isEmpty {
            while !socket.isReadable { await waiter.park() }
            if case .ended = socket.receive(into: buffer) { break }
        }
        socket.waiter = nil
        return buffer.bytes.text
    }

    func stop() {
        idle.forEach { $0.close() }
        loop.stop()
    }
}

/// A listener on a private port, and a client for it, for as long as `body` takes.
func withListener(
    _ routes: [AdminRoute], _ limits: AdminLimits = AdminLimits(), on address: AdminAddress? = nil,
    _ body: (AdminClient, AdminListener) async throws -> Void
) async throws {
    let place = try address ?? .tcp(SocketAddress.resolve(host: "127.0.0.1", port: 0)[0])
    let listener = try AdminListener(
        on: place, of: ListeningSockets(), routes: routes, limits: limits, logger: Logger(label: "test"))
    try listener.start()
    let loop = try EventLoop()
    let thread = try SystemThread(name: "client") { loop.run() }
    let client = AdminClient(loop: loop, address: listener.address)
    do {
        try await body(client, listener)
        listener.stop()
    } catch {
        listener.stop()
        throw error
    }
    await client.stop()
    thread.join()
}
