import Bytes
import EventLoop
import Policy

/// One connection to Redis, its handshake done.
///
/// What a turn of the loop collects is sent at its end as one pipeline; Redis answers in the order in which it was asked. One
/// task serves the connection: ``serve(unless:)`` reads the answers and keeps the deadlines.
final class RedisConnection: TurnFlushing {
    private let limits: RedisBackend.Limits
    private let counters: RedisCounters
    private let socket: Socket
    private var isOpen = true
    private let waiter: Waiter
    private let input = ByteBuffer(capacity: 16 * 1024)
    private let output: ByteBuffer
    private let replies: RedisReplies
    /// Which connection of its store this is.
    private let epoch: Int

    /// What was sent and has not been answered in full.
    private let sent = Queue<SentCommands>()
    /// The hits of what was sent, and then those that this turn has collected.
    private let batches = Queue<HitBatch>()
    /// How many batches have left the queue; and how many have been sent, ever. No batch of this connection has the number of
    /// one of another.
    private var batchesDone: Int
    private var batchesSent: Int
    private var isFlushDue = false
    private var partialAnswer = PartialAnswer()
    private var waitingCount = 0

    /// None before this place of `batches` is waited for.
    private var firstWaitedFor = 0
    private var lateInARow = 0
    private var isProbing = false
    private var nextProbe = Int64.max
    private var stopsAt = Int64.max
    /// When ``waiter`` is to be woken; monotonic milliseconds.
    private var alarm = Int64.max
    private var closingWords = ""

    init(
        _ limits: RedisBackend.Limits, _ counters: RedisCounters, _ socket: Socket, _ output: ByteBuffer,
        _ replies: RedisReplies, _ waiter: Waiter, epoch: Int
    ) {
        self.limits = limits
        self.counters = counters
        self.socket = socket
        self.output = output
        self.replies = replies
        self.waiter = waiter
        self.epoch = epoch
        batchesDone = epoch << 40
        batchesSent = epoch << 40
    }

    /// Whether hits may be collected: Redis is not down, and there is room.
    var isUsable: Bool { !isDown && waitingCount < limits.maximumWaiting && takesCommands }

    private var isDown: Bool { lateInARow >= limits.lateCountsUntilDown }

    private var takesCommands: Bool {
        isOpen && batches.count < limits.maximumUnanswered && output.count < limits.maximumUnsentBytes
    }

    private var now: Int64 { waiter.loop.nowMilliseconds }

    // MARK: Collecting

    func collect(_ hit: WaitingHit, _ key: CountedKey, _ window: Window, unixMilliseconds: Int64) {
        let number = window.number(atMilliseconds: unixMilliseconds)
        batches[place(key, window, number, unixMilliseconds)].add(hit)
        waitingCount += 1
    }

    /// - Parameter unixMilliseconds: about when.
    func collectGivenBack(_ count: Int, _ key: CountedKey, _ window: Window, _ number: Int64, unixMilliseconds: Int64) {
        // A window's key lives to the end of the next. What is given back later than that has nowhere to go.
        guard takesCommands, window.number(atMilliseconds: unixMilliseconds) <= number + 1 else { return }
        batches[place(key, window, number, unixMilliseconds)].giveBack(count)
    }

    /// The place of this turn's batch for a key and window.
    private func place(_ key: CountedKey, _ window: Window, _ number: Int64, _ unixMilliseconds: Int64) -> Int {
        let latest = key.latestBatch - batchesDone
        if key.latestBatch >= batchesSent, latest < batches.count, batches[latest].number == number { return latest }
        if !isFlushDue {
            isFlushDue = true
            waiter.loop.flushAtEndOfTurn(self)
        }
        key.latestBatch = batchesDone + batches.count
        batches.append(HitBatch(key, window, number, unixMilliseconds: unixMilliseconds))
        return batches.count - 1
    }

    // MARK: Sending

    func flush() {
        isFlushDue = false
        guard isOpen else { return }
        let deadline = now + limits.deadlineMilliseconds
        for place in (batchesSent - batchesDone)..<batches.count { write(&batches[place], deadline) }
        batchesSent = batchesDone + batches.count
        sendOutput()
    }

    private func write(_ batch: inout HitBatch, _ deadline: Int64) {
        let key = batch.key
        let wanted = key.ask(batch.number, epoch: epoch)
        let windowKey = key.windowKey(batch.number)
        var expected: ExpectedReplies = .change
        // INCRBY sets no expiry, and a key that takes back a hit may just have expired. Made with its expiry where it isn't
        // there, a key is never without, wherever this connection breaks off. In milliseconds from now, since Redis' clock may
        // not be ours.
        if wanted.birth || batch.givenBack != 0 {
            output.appendBirth(windowKey, expiresAfterMilliseconds: batch.lifetimeMilliseconds)
            expected.insert(.birth)
        }
        output.appendIncrement(windowKey, by: batch.change)
        batch.previous = wanted.previous
        batch.deadline = deadline
        if batch.isWaitedFor, wanted.previous == nil {
            output.appendGet(key.windowKey(batch.number - 1))
            expected.insert(.previous)
        }
        noteSent(expected, deadline)
    }

    private func noteSent(_ expected: ExpectedReplies, _ deadline: Int64) {
        setAlarm(at: deadline)
        sent.append(SentCommands(expected: expected, deadline: deadline))
    }

    private func sendOutput() {
        guard isOpen, socket.isWritable, !output.isEmpty else { return }
        if case .failed(let code) = socket.send(output) { close(because: SystemError.text(of: code)) }
    }

    // MARK: Serving

    /// Reads answers until the connection ends, and says why it did. Hits whose answers are missing are counted without Redis.
    ///
    /// - Parameter isStopping: whether to end it from this side; wake all of the loop's waiters when that changes.
    func serve(unless isStopping: () -> Bool) async -> String {
        while true {
            // First of all: an answer that is there isn't late, however late this task is.
            if socket.isReadable { receive() }
            if waiter.isDue { keepDeadlines() }
            if isStopping() { stop() }
            if !isFlushDue { sendOutput() }
            guard isOpen else { break }
            if socket.isReadable { await waiter.yieldTurn() } else { await waiter.park() }
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

    private func close(because reason: String) {
        guard isOpen else { return }
        closingWords = reason
        isOpen = false
        socket.close()
        output.clear()
        if waitingCount > 0 { counters.goOut(because: reason) }
        // Nothing is collected any more once the socket is closed, whatever those that are answered do.
        while var batch = batches.popFirst() { _ = counters.answerWithoutRedis(&batch) }
        waiter.wake()
    }

    private func receive() {
        switch socket.receive(into: input, room: 8 * 1024) {
        case .received:
            let input = self.input
            guard replies.feed(input.bytes) else { return close(because: "it sent bytes that are no RESP") }
            input.clear()
            readReplies()
        case .wouldBlock: break
        case .ended: close(because: "it closed the connection")
        case .failed(let code): close(because: SystemError.text(of: code))
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
            answer = PartialAnswer(missing: sent[0].expected)
        }
        if let error = answer.take(reply) { return close(because: error) }
        guard answer.missing.isEmpty, let commands = sent.popFirst() else { return }
        if commands.expected.contains(.change), var batch = batches.popFirst() {
            batchesDone += 1
            firstWaitedFor = max(firstWaitedFor - 1, 0)
            settle(&batch, answer, commands.expected)
        } else if commands.expected == .pong {
            probeAnswered(inTime: now <= commands.deadline)
        }
    }

    // MARK: Counts

    private func settle(_ batch: inout HitBatch, _ answer: PartialAnswer, _ expected: ExpectedReplies) {
        let waiting = batch.isWaitedFor ? batch.hitCount : 0
        waitingCount -= waiting
        guard !answer.isRefused else {
            if waiting > 0 { _ = counters.answerWithoutRedis(&batch) }
            return
        }
        let count = answer.count
        let (key, number) = (batch.key, batch.number)
        if count == batch.change, !expected.contains(.birth) {
            // Evicted or flushed, and made anew by INCRBY.
            renewExpiry(of: batch)
        }
        // Below nothing, the key was lost with hits that were given back after: those are undone, each by who gave it back.
        let undone = min(max(batch.hitCount - count, 0), max(batch.givenBack, 0))
        if undone > 0 { giveBack(-undone, of: batch) }
        let before = max(count + undone - batch.hitCount, 0)
        key.note(number, current: before + batch.hitCount)
        let previous = max(batch.previous ?? answer.previous, 0)
        if expected.contains(.previous) {
            key.note(
                number, previous: previous, window: batch.window, askedAtUnixMilliseconds: batch.unixMilliseconds, epoch: epoch)
        }
        if batch.refusedLate > 0 { giveBack(batch.refusedLate, of: batch) }
        guard waiting > 0 else { return }
        inTime()
        batch.answerEach { hit, place in
            let counts = WindowCounts(current: before + place, previous: previous)
            hit.receiver.counted(ticket: hit.ticket, .counted(counts, number: number, isFallback: false))
        }
    }

    private func giveBack(_ count: Int, of batch: HitBatch) {
        collectGivenBack(count, batch.key, batch.window, batch.number, unixMilliseconds: batch.unixMilliseconds)
    }

    private func renewExpiry(of batch: HitBatch) {
        output.appendExpiry(batch.key.windowKey(batch.number), afterMilliseconds: batch.lifetimeMilliseconds)
        noteSent(.expiry, now + limits.deadlineMilliseconds)
    }

    // MARK: Deadlines

    private func setAlarm(at time: Int64) {
        guard time < alarm else { return }
        alarm = time
        waiter.setDeadline(afterMilliseconds: time - now)
    }

    /// Answers the hits that have waited too long, asks a Redis that is late too often whether it is there, and ends a
    /// connection that has been silent for too long.
    private func keepDeadlines() {
        alarm = .max
        waiter.clearDeadline()
        giveUpLate()
        guard isOpen else { return }
        if !sent.isEmpty {
            let end = sent[0].deadline - limits.deadlineMilliseconds + limits.silenceMilliseconds
            guard end > now else {
                return close(because: "no answer for more than \(limits.silenceMilliseconds) ms")
            }
            setAlarm(at: end)
        }
        if isDown, !isProbing, nextProbe == .max || nextProbe <= now { probe() }
        if isDown, !isProbing { setAlarm(at: nextProbe) }
        if firstWaitedFor < batches.count { setAlarm(at: batches[firstWaitedFor].deadline) }
        if stopsAt != .max { setAlarm(at: max(stopsAt, now + 1)) }
    }

    private func giveUpLate() {
        while firstWaitedFor < batches.count, batches[firstWaitedFor].deadline <= now {
            let place = firstWaitedFor
            firstWaitedFor += 1
            var batch = batches[place]
            guard batch.isWaitedFor else { continue }
            lateInARow += 1
            waitingCount -= batch.hitCount
            if isDown { counters.goOut(because: "no answer within \(limits.deadlineMilliseconds) ms, \(lateInARow) times in a row") }
            batch.refusedLate = counters.answerWithoutRedis(&batch)
            batches[place] = batch
        }
    }

    /// Redis answered a hit before its deadline.
    private func inTime() {
        guard lateInARow > 0 else { return }
        if isDown { counters.comeBack() }
        lateInARow = 0
    }

    /// Asks in the background whether Redis is fast enough again; no request waits for it meanwhile.
    private func probe() {
        isProbing = true
        nextProbe = .max
        output.append("*1\r\n$4\r\nPING\r\n")
        noteSent(.pong, now + limits.deadlineMilliseconds)
    }

    private func probeAnswered(inTime isInTime: Bool) {
        isProbing = false
        if isInTime { return inTime() }
        nextProbe = now + limits.probeMilliseconds
        setAlarm(at: nextProbe)
    }
}
