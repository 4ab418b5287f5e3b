import Bytes
import EventLoop

/// Takes the PROXY header off a connection, and not a byte more: what follows may be TLS.
enum ProxyHeaderReader {
    /// Waits for the header, no longer than a request's head may take.
    ///
    /// - Returns: nil where none came; `complain` has been told why, unless the peer simply left.
    static func read(
        from socket: Socket, on waiter: Waiter, timeoutMilliseconds: Int64, unless isOver: () -> Bool, complain: (String) -> Void
    ) async -> ProxyHeader.Source? {
        let seen = waiter.loop.buffers.take()
        defer { waiter.loop.buffers.give(seen) }
        socket.waiter = waiter
        waiter.setDeadline(afterMilliseconds: timeoutMilliseconds)
        defer { waiter.clearDeadline() }
        while true {
            while !socket.isReadable {
                guard !isOver() else { return nil }
                guard !waiter.isDue else {
                    complain("no PROXY header in time")
                    return nil
                }
                await waiter.park()
            }
            seen.clear()
            switch socket.peek(into: seen, room: ProxyHeader.maximumBytes) {
            case .wouldBlock: continue
            case .ended, .failed: return nil
            case .received: break
            }
            switch ProxyHeader.read(seen.bytes) {
            case .needsMoreBytes where socket.isPeerGone: return nil
            case .needsMoreBytes: continue
            case .malformed(let what):
                complain(what)
                return nil
            case .complete(let source, let byteCount):
                seen.clear()
                return socket.skip(byteCount, by: seen) ? source : nil
            }
        }
    }
}
