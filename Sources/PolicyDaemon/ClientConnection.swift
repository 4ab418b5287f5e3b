import Bytes
import EventLoop

/// One client's connection: moves bytes between its stream and its session, each wait under a deadline.
///
/// What there is to do is done where the loop finds it: waking a task for it would take a good part of what a decision takes.
final class ClientConnection: TurnFlushing {
    private let stream: any ByteStream
    private let waiter: Waiter
    /// Where the task waits that the connection is served in.
    private let ended: Waiter
    private let session: any DialectSession
    /// The session's.
    private let output: ByteBuffer
    private let drain: Drain
    private let limits: DaemonLimits
    private var input: ByteBuffer?
    private var isFlushDue = false
    private var hasSaidGoAway = false
    private var endingOfStream: String?

    // Each a moment on the loop's clock, in milliseconds; ``never`` while there is nothing to wait for.
    private var helloDue: Int64
    private var frameDue = never
    private var outputDue = never
    /// Of a client that was asked to begin anew.
    private var leavingDue = never
    private static let never = Int64.max
    private let leavingMilliseconds: () -> Int64

    /// - Parameters:
    ///   - waiter: the one that the stream was waited for with.
    ///   - leavingMilliseconds: how long a client may take to begin anew when it is asked to.
    init(
        _ stream: any ByteStream, _ session: any DialectSession, on waiter: Waiter, drain: Drain, _ limits: DaemonLimits,
        leavingMilliseconds: @escaping () -> Int64
    ) {
        self.leavingMilliseconds = leavingMilliseconds
        self.stream = stream
        self.session = session
        output = session.output
        self.drain = drain
        self.limits = limits
        self.waiter = waiter
        ended = Waiter(loop: waiter.loop)
        helloDue = waiter.loop.nowMilliseconds + limits.helloMilliseconds
    }

    /// Serves the client until one side ends the connection, and says why it ended.
    func serve() async -> String {
        stream.waiter = waiter
        session.hasLateOutput = { [unowned self] in flushLater() }
        attend()
        while stream.isOpen { await ended.park() }
        session.hasLateOutput = {}
        if let input { waiter.loop.buffers.give(input) }
        return endingOfStream ?? session.ending ?? "closed"
    }

    /// Does what there is to do, and rests until there is more.
    private func attend() {
        guard stream.isOpen else { return ended.wake() }
        if mayReceive {
            receive()
            flushLater()
        }
        // Who has only just connected in a drain has something to ask, and has the time of anyone who begins.
        if !hasSaidGoAway, session.isOutdated || drain.hasBegun && session.isGreeted { sayGoAway() }
        if !output.isEmpty || stream.hasUnsent, stream.isWritable, !isFlushDue { flush() }
        endWhatIsLate()
        if !isFlushDue, session.isOver { close() }
        guard stream.isOpen else { return ended.wake() }
        setDeadline()
        if mayReceive { waiter.restForTurn(self) } else { waiter.rest(self) }
    }

    /// A client that leaves too many verdicts unread isn't listened to until it has read some.
    private var mayReceive: Bool {
        stream.isReadable && !session.isOver && output.count < limits.waitingOutputBytes
    }

    // MARK: Input

    /// Call it only while ``mayReceive``.
    private func receive() {
        let input = self.input ?? waiter.loop.buffers.take()
        self.input = input
        let held = input.count
        var received = 0
        receiving: repeat {
            switch stream.receive(into: input, room: 8 * 1024) {
            case .received(let byteCount):
                received += byteCount
                session.receive(input, nowUnixMilliseconds: waiter.loop.nowUnixMilliseconds)
            case .wouldBlock: break receiving
            case .ended: return close(because: input.isEmpty ? "closed by the client" : "closed by the client within a frame")
            case .failed(let code): return close(because: stream.text(of: code))
            }
        } while mayReceive && received < limits.receiveBytesPerTurn
        if helloDue != Self.never, session.isGreeted { helloDue = Self.never }
        if input.isEmpty {
            frameDue = session.awaitedSinceUnixMilliseconds.map { since in
                waiter.loop.nowMilliseconds - (waiter.loop.nowUnixMilliseconds - since) + limits.frameMilliseconds
            } ?? Self.never
            waiter.loop.buffers.give(input)
            self.input = nil
        } else if frameDue == Self.never || input.count < held + received {   // a frame was taken off: what is left is another
            frameDue = waiter.loop.nowMilliseconds + limits.frameMilliseconds
        }
    }

    // MARK: Output

    private func flushLater() {
        guard !isFlushDue, stream.isOpen, !output.isEmpty else { return }
        isFlushDue = true
        waiter.loop.flushAtEndOfTurn(self)
    }

    func flush() {
        isFlushDue = false
        guard stream.isOpen, stream.isWritable else { return }
        let waiting = output.count
        switch stream.send(output) {
        case .sent: outputDue = Self.never
        case .wouldBlock:
            if outputDue == Self.never || output.count < waiting {
                outputDue = waiter.loop.nowMilliseconds + limits.outputStallMilliseconds
            }
        case .failed(let code): close(because: stream.text(of: code))
        }
        // Sent while the connection rested: there may be room to receive again, a deadline to set, or nothing left to do.
        if mayReceive || session.isOver || outputDue != Self.never { waiter.wake() }
    }

    private func sayGoAway() {
        hasSaidGoAway = true
        if !drain.hasBegun { leavingDue = waiter.loop.nowMilliseconds + leavingMilliseconds() }
        session.goAway()
        flushLater()
    }

    // MARK: Deadlines

    private func setDeadline() {
        // That of the drain is never, while there is none.
        let due = min(min(helloDue, frameDue), min(outputDue, leavingDue), drain.endMilliseconds)
        if due == Self.never {
            waiter.clearDeadline()
        } else {
            waiter.setDeadline(afterMilliseconds: due - waiter.loop.nowMilliseconds)
        }
    }

    private func endWhatIsLate() {
        guard stream.isOpen else { return }
        let now = waiter.loop.nowMilliseconds
        if helloDue <= now {
            session.end(late: .greeting(milliseconds: limits.helloMilliseconds))
            flush()
        } else if frameDue <= now {
            session.end(late: .message(milliseconds: limits.frameMilliseconds))
            flush()
        } else if outputDue <= now {
            close(because: "its verdicts unread for \(limits.outputStallMilliseconds) ms")
        } else if leavingDue <= now {
            close(because: "it was to begin anew and did not")
        } else if drain.hasBegun, drain.endMilliseconds <= now {
            close(because: "the drain is over")
        }
    }

    private func close(because ending: String? = nil) {
        guard stream.isOpen else { return }
        endingOfStream = ending
        stream.close()
        waiter.wake()
    }
}

extension ClientConnection: Resting {
    func roused() { attend() }
}
