import Bytes
import EventLoop
import Policy

/// One connection to Redis, its handshake done.
///
/// What a turn of the loop collects is sent at its end as one pipeline; Redis answers in the order in which it was asked. One
/// task serves the connection: ``serve(unless:)`` reads the answers and keeps the deadlines.
final class RedisConnection {
    let limits: RedisBackend.Limits
    let unixClock: () -> Int64
    let counters: RedisCounters
    let node: RedisNode
    let transport: any ByteStream
    var isOpen = true
    let waiter: Waiter
    private let input = ByteBuffer(capacity: 16 * 1024)
    let output = ByteBuffer(capacity: 16 * 1024)
    private let replies = RedisReplies()
    /// Which connection of its store this is.
    let epoch: Int

    /// What was sent and has not been answered in full.
    let sent = Queue<SentCommands>()
    /// The hits of what was sent, and then those that this turn has collected.
    let batches = Queue<HitBatch>()
    /// How many batches have left the queue; and how many have been sent, ever. No batch of this connection has the number of
    /// one of another.
    var batchesDone: Int
    var batchesSent: Int
    var isFlushDue = false
    private var partialAnswer = PartialAnswer()
    var waitingCount = 0

    /// None before this place of `batches` is waited for.
    var firstWaitedFor = 0
    /// How many of the batches don't have their deadlines in order.
    var outOfOrderCount = 0
    var lateInARow = 0
    var isProbing = false
    var nextProbe = Int64.max
    var stopsAt = Int64.max
    /// When ``waiter`` is to be woken; monotonic milliseconds.
    var alarm = Int64.max
    private var closingWords = ""

    /// Where the clock of this Redis is.
    private(set) var clock: StoreClock
    var clockAskedAt: Int64 = 0
    var nextClockQuestion: Int64

    init(
        _ counters: RedisCounters, _ node: RedisNode, _ transport: any ByteStream, _ waiter: Waiter, _ clock: StoreClock,
        epoch: Int
    ) {
        let backend = counters.backend
        limits = backend.limits
        unixClock = backend.unixClock
        self.clock = clock
        nextClockQuestion = waiter.loop.nowMilliseconds + backend.limits.clockMilliseconds
        self.counters = counters
        self.node = node
        self.transport = transport
        self.waiter = waiter
        self.epoch = epoch
        batchesDone = epoch << 40
        batchesSent = epoch << 40
    }

    /// Whether hits may be collected: Redis is not down, and there is room.
    var isUsable: Bool { !isDown && waitingCount < limits.maximumWaiting && takesCommands }

    var isDown: Bool { lateInARow >= limits.lateCountsUntilDown }

    var takesCommands: Bool {
        isOpen && batches.count < limits.maximumUnanswered && output.count < limits.maximumUnsentBytes
    }

    var now: Int64 { waiter.loop.nowMilliseconds }

    // MARK: Serving

    /// Reads answers until the connection ends, and says why it did. Hits whose answers are missing are counted without Redis.
    ///
    /// - Parameter isStopping: whether to end it from this side; wake all of the loop's waiters when that changes.
    func serve(unless isStopping: () -> Bool) async -> String {
        setAlarm(at: nextClockQuestion)
        while true {
            // First of all: an answer that is there isn't late, however late this task is.
            if transport.isReadable { receive() }
            if waiter.isDue { keepDeadlines() }
            if isStopping() { stop() }
            if !isFlushDue { sendOutput() }
            guard isOpen else { break }
            if transport.isReadable { await waiter.yieldTurn() } else { await waiter.park() }
        }
        waiter.clearDeadline()
        return closingWords
    }

    /// Closes once everything is answered: a socket closed before could take along what Redis has not read.
    private func stop() {
        if stopsAt == .max {
            stopsAt = now + limits.deadlineMilliseconds
            setAlarm(at: stopsAt)
        }
        if sent.isEmpty && batches.isEmpty || now >= stopsAt { close(because: "this store is stopping") }
    }

    /// Ends the connection, since counting belongs elsewhere.
    func leave(because reason: String) { close(because: reason) }

    func close(because reason: String) {
        guard isOpen else { return }
        closingWords = reason
        isOpen = false
        transport.close()
        output.clear()
        if waitingCount > 0 { node.goOut(because: reason) }
        // Nothing is collected any more once the socket is closed, whatever those that are answered do.
        while var batch = batches.popFirst() {
            if batch.isLate { batch.key.takeRefusedLate(upTo: batch.cost) }
            counters.answerWithoutRedis(&batch)
        }
        waiter.wake()
    }

    private func receive() {
        switch transport.receive(into: input, room: 8 * 1024) {
        case .received:
            let input = self.input
            guard replies.feed(input.bytes) else { return close(because: "it sent bytes that are no RESP") }
            input.clear()
            readReplies()
        case .wouldBlock: break
        case .ended: close(because: "it closed the connection")
        case .failed(let code): close(because: transport.text(of: code))
        }
    }

    private func readReplies() {
        var answer = partialAnswer
        while isOpen {
            switch replies.next() {
            case .reply(let reply): take(reply, &answer)
            case .needsMoreBytes:
                partialAnswer = answer
                return
            case .malformed: close(because: "it sent bytes that are no RESP")
            }
        }
    }

    private func take(_ reply: RedisReply, _ answer: inout PartialAnswer) {
        if answer.missing.isEmpty {
            guard !sent.isEmpty else { return close(because: "it sent a reply to nothing") }
            answer = PartialAnswer(sent[0])
        }
        if let error = answer.take(reply) { return close(because: error) }
        guard answer.missing.isEmpty, let commands = sent.popFirst() else { return }
        if commands.redo != nil || !commands.expected.isDisjoint(with: .batch), var batch = batches.popFirst() {
            batchesDone += 1
            firstWaitedFor = max(firstWaitedFor - 1, 0)
            if batch.isOutOfOrder { outOfOrderCount -= 1 }
            if let redirect = answer.redirect {
                redirected(batch, answer, commands, redirect)
            } else {
                settle(&batch, answer, commands.expected)
            }
        } else if commands.expected == .pong {
            probeAnswered(inTime: now <= commands.deadline)
        } else if commands.expected == .clock, let time = answer.value {
            clock.note(time, askedAt: clockAskedAt, answeredAt: unixClock())
        }
    }
}
