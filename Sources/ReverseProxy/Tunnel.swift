import Bytes
import EventLoop

/// Carries a WebSocket's bytes both ways once an upstream has switched to it, until either side ends it, or nothing has come from
/// either for too long. Where a drain lasts too long, both are told that this side goes away.
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
            if exchange.worker.isDrainOver {
                await goAway()
                return .drainOver
            }
            let pool = exchange.buffers
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
            exchange.stripBuffers()
            await waiter.park()
        }
    }

    /// Tells each side that it is over, where a frame may stand, and waits a while for their answers; what else they still send is dropped.
    private func goAway() async {
        let isTold = upwards.say(WebSocketFrames.closeOfClient(mask: .random(in: 0...UInt32.max)))
        guard downwards.say(WebSocketFrames.closeOfServer) || isTold else { return }
        waiter.setDeadline(afterMilliseconds: exchange.worker.configuration.timeouts.linger)
        let pool = exchange.buffers
        while !waiter.isDue {
            upwards.flush()
            downwards.flush()
            let hasDropped = upwards.drop(pool)
            if downwards.drop(pool) || hasDropped {
                await waiter.yieldTurn()
                continue
            }
            // Each has its time to read it, also where the other is gone already.
            if upwards.hasNothingToSay, downwards.hasNothingToSay { return }
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
    private var frames = WebSocketFrames()

    init(from source: any ByteStream, to target: any ByteStream, through buffer: ByteBuffer, ahead: ByteBuffer) {
        (self.source, self.target, self.buffer, byteCount) = (source, target, buffer, ahead.count)
        frames.follow(ahead.bytes)
        buffer.append(ahead.bytes)
        ahead.clear()
    }

    var isBroken: Bool { hasFailed || source.isBroken && !source.isReadable }
    /// Whether nothing more comes than what is here already.
    var isEnding: Bool { hasEnded || source.isBroken }

    /// - Returns: whether something has moved.
    mutating func move(_ pool: BufferPool) -> Bool {
        let hasReceived = buffer.isEmpty && receive(into: buffer, pool)
        let hasMoved = flush() || hasReceived
        if hasEnded, !isOver, buffer.isEmpty, !target.hasUnsent {
            isOver = true
            target.endSending()
        }
        return hasMoved
    }

    /// - Returns: whether something was sent, or failed to be.
    @discardableResult
    mutating func flush() -> Bool {
        guard !buffer.isEmpty || target.hasUnsent, target.isWritable else { return false }
        if case .failed = target.send(buffer) {
            buffer.clear()
            hasFailed = true
        }
        return true
    }

    /// - Parameter buffer: an empty one.
    private mutating func receive(into buffer: ByteBuffer, _ pool: BufferPool) -> Bool {
        guard !hasEnded, source.isReadable else { return false }
        pool.furnish(buffer)
        switch source.receive(into: buffer) {
        case .received(let count):
            byteCount += count
            frames.follow(buffer.bytes)
        case .wouldBlock: return false
        case .ended: hasEnded = true
        case .failed: hasFailed = true
        }
        return true
    }

    // MARK: The end by this side

    /// Has the target read a frame of this side's own behind those of the source.
    ///
    /// - Returns: whether there is a place for one.
    mutating func say(_ frame: [UInt8]) -> Bool {
        guard frames.areWhole, !frames.hasClosed, !isEnding else { return false }
        buffer.append(frame)
        return true
    }

    /// Whether the source sends nothing more that counts.
    var hasNothingToSay: Bool { isBroken || isEnding || frames.hasClosed }

    /// Drops what the source has sent; whether there was something.
    mutating func drop(_ pool: BufferPool) -> Bool {
        let dropped = pool.take()
        defer { pool.give(dropped) }
        return receive(into: dropped, pool)
    }
}
