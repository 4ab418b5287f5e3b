import Bytes
import EventLoop

/// One client's connection: moves bytes between its stream and its session, each wait under a deadline.
final class ClientConnection: TurnFlushing {
    private let stream: any ByteStream
    private let waiter: Waiter
    private let session: any DialectSession
    /// The session's.
    private let output: ByteBuffer
    private let drain: Drain
    private let limits: DaemonLimits
    private var input: ByteBuffer?
    private var isFlushDue = false
    private var hasSaidGoAway = false
    private var endingOfStream: String?

    // Each a moment on the loop's clock, in milliseconds; nil while there is nothing to wait for.
    private var helloDue: Int64?
    private var frameDue: Int64?
    private var outputDue: Int64?
    /// Of a client that was asked to begin anew.
    private var leavingDue: Int64?
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
        helloDue = waiter.loop.nowMilliseconds + limits.helloMilliseconds
    }

    /// Serves the client until one side ends the connection, and says why it ended.
    func serve() async -> String {
        stream.waiter = waiter
        session.hasLateOutput = { [unowned self] in flushLater() }
        while stream.isOpen {
            if mayReceive {
                receive()
                flushLater()
            }
            // Who has only just connected in a drain has something to ask, and has the time of anyone who begins.
            if session.isOutdated || drain.hasBegun && session.isGreeted, !hasSaidGoAway { sayGoAway() }
            if !output.isEmpty || stream.hasUnsent, stream.isWritable, !isFlushDue { flush() }
            endWhatIsLate()
            if session.isOver, !isFlushDue { close() }
            guard stream.isOpen else { break }
            setDeadline()
            if mayReceive { await waiter.yieldTurn() } else { await waiter.park() }
        }
        session.hasLateOutput = {}
        if let input { waiter.loop.buffers.give(input) }
        return endingOfStream ?? session.ending ?? "closed"
    }

    /// A client that leaves too many verdicts unread isn't listened to until it has read some.
    private var mayReceive: Bool {
        stream.isReadable && !session.isOver && output.count < limits.waitingOutputBytes
    }

    // MARK: Input

    private func receive() {
        let input = self.input ?? waiter.loop.buffers.take()
        self.input = input
        let held = input.count
        var received = 0
        receiving: while mayReceive, received < limits.receiveBytesPerTurn {
            switch stream.receive(into: input, room: 8 * 1024) {
            case .received(let byteCount):
                received += byteCount
                session.receive(input, nowUnixMilliseconds: waiter.loop.nowUnixMilliseconds)
            case .wouldBlock: break receiving
            case .ended: return close(because: input.isEmpty ? "closed by the client" : "closed by the client within a frame")
            case .failed(let code): return close(because: stream.text(of: code))
            }
        }
        if session.isGreeted { helloDue = nil }
        if input.isEmpty {
            frameDue = session.awaitedSinceUnixMilliseconds.map { since in
                waiter.loop.nowMilliseconds - (waiter.loop.nowUnixMilliseconds - since) + limits.frameMilliseconds
            }
            waiter.loop.buffers.give(input)
            self.input = nil
        } else if frameDue == nil || input.count < held + received {   // a frame was taken off: what is left is another
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
        case .sent: outputDue = nil
        case .wouldBlock:
            if outputDue == nil || output.count < waiting {
                outputDue = waiter.loop.nowMilliseconds + limits.outputStallMilliseconds
            }
        case .failed(let code): close(because: stream.text(of: code))
        }
        // Sent while the task was parked: there may be room to receive again, a deadline to set, or nothing left to do.
        if mayReceive || session.isOver || outputDue != nil { waiter.wake() }
    }

    private func sayGoAway() {
        hasSaidGoAway = true
        if !drain.hasBegun { leavingDue = waiter.loop.nowMilliseconds + leavingMilliseconds() }
        session.goAway()
        flushLater()
    }

    // MARK: Deadlines

    private func setDeadline() {
        var due = Int64.max
        for moment in [helloDue, frameDue, outputDue, leavingDue] { if let moment, moment < due { due = moment } }
        if drain.hasBegun, drain.endMilliseconds < due { due = drain.endMilliseconds }
        if due == .max {
            waiter.clearDeadline()
        } else {
            waiter.setDeadline(afterMilliseconds: due - waiter.loop.nowMilliseconds)
        }
    }

    private func endWhatIsLate() {
        guard stream.isOpen else { return }
        let now = waiter.loop.nowMilliseconds
        if let helloDue, helloDue <= now {
            session.end(late: .greeting(milliseconds: limits.helloMilliseconds))
            flush()
        } else if let frameDue, frameDue <= now {
            session.end(late: .message(milliseconds: limits.frameMilliseconds))
            flush()
        } else if let outputDue, outputDue <= now {
            close(because: "its verdicts unread for \(limits.outputStallMilliseconds) ms")
        } else if let leavingDue, leavingDue <= now {
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
