import Bytes
import EventLoop

/// Carries bytes both ways once an upstream has switched to another protocol, until either side ends it, or nothing has come from
/// either for too long.
final class Tunnel {
    /// How it ended.
    enum End {
        /// One side or both have ended it.
        case closed
        case idle
        case drainOver
    }

    private static let roundsPerTurn = 16

    private let exchange: Exchange
    private let waiter: Waiter
    private var upwards: Direction
    private var downwards: Direction
    /// Whether the deadline is that of a tunnel of which one side has ended.
    private var isLingering = false

    init(_ exchange: Exchange, _ client: ClientConnection, _ upstream: UpstreamConnection) {
        self.exchange = exchange
        waiter = client.waiter
        // What either has sent ahead stands behind the heads.
        upwards = Direction(from: client.stream, to: upstream.stream, through: exchange.upstreamOutput, ahead: exchange.input)
        downwards = Direction(from: upstream.stream, to: client.stream, through: exchange.output, ahead: exchange.upstreamInput)
    }

    /// Bytes that the upstream has sent.
    var receivedByteCount: Int { downwards.byteCount }

    func run() async -> End {
        setDeadline()
        var rounds = 0
        while true {
            let pool = exchange.worker.loop.buffers
            let hasMovedUp = upwards.move(pool)
            let hasMoved = downwards.move(pool) || hasMovedUp
            if upwards.isBroken || downwards.isBroken || upwards.isOver && downwards.isOver { return .closed }
            guard !hasMoved else {
                setDeadline()
                rounds &+= 1
                if rounds % Self.roundsPerTurn == 0 { await waiter.yieldTurn() }
                continue
            }
            if waiter.isDue { return isHalfClosed ? .closed : .idle }
            // What was reset shows while nothing moves: its bytes wait for a target that takes none.
            if isHalfClosed, !isLingering { setDeadline() }
            if exchange.worker.isDrainOver { return .drainOver }
            exchange.stripBuffers()
            await waiter.park()
        }
    }

    private var isHalfClosed: Bool { upwards.isEnding || downwards.isEnding }

    private func setDeadline() {
        let timeouts = exchange.worker.configuration.timeouts
        isLingering = isHalfClosed
        // Where one side has ended it, the other is not waited for as long as if both were there.
        waiter.setDeadline(afterMilliseconds: isHalfClosed ? timeouts.linger : timeouts.webSocketIdle)
    }
}

/// One way through a tunnel. Nothing is received while the buffer holds what has not been sent on: that is the back-pressure.
private struct Direction {
    private let source: any ByteStream
    private let target: any ByteStream
    private let buffer: ByteBuffer
    /// Bytes that the source has sent.
    private(set) var byteCount: Int
    /// Whether the source has ended its side.
    private(set) var hasEnded = false
    /// Whether the target has all of it, the end included.
    private(set) var isOver = false
    private var hasFailed = false

    init(from source: any ByteStream, to target: any ByteStream, through buffer: ByteBuffer, ahead: ByteBuffer) {
        (self.source, self.target, self.buffer, byteCount) = (source, target, buffer, ahead.count)
        buffer.append(ahead.bytes)
        ahead.clear()
    }

    var isBroken: Bool { hasFailed || source.isBroken && !source.isReadable }
    /// Whether nothing more comes than what is here already.
    var isEnding: Bool { hasEnded || source.isBroken }

    /// - Returns: whether something has moved.
    mutating func move(_ pool: BufferPool) -> Bool {
        var hasMoved = receive(pool)
        if !buffer.isEmpty || target.hasUnsent, target.isWritable {
            if case .failed = target.send(buffer) {
                buffer.clear()
                hasFailed = true
            }
            hasMoved = true
        }
        if hasEnded, !isOver, buffer.isEmpty, !target.hasUnsent {
            isOver = true
            target.endSending()
        }
        return hasMoved
    }

    private mutating func receive(_ pool: BufferPool) -> Bool {
        guard buffer.isEmpty, !hasEnded, source.isReadable else { return false }
        pool.furnish(buffer)
        switch source.receive(into: buffer) {
        case .received(let count): byteCount += count
        case .wouldBlock: return false
        case .ended: hasEnded = true
        case .failed: hasFailed = true
        }
        return true
    }
}
