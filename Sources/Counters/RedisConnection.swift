import Bytes
import EventLoop
import Policy

/// One connection to Redis, its handshake done.
///
/// What a turn of the loop collects is sent at its end as one pipeline; Redis answers in the order in which it was asked. One
/// task serves the connection: ``serve(unless:)`` reads the answers and keeps the deadlines.
final class RedisConnection: TurnFlushing {
    private let limits: RedisBackend.Limits
    private let unixClock: () -> Int64
    let counters: RedisCounters
    private let node: RedisNode
    private let transport: any ByteStream
    private var isOpen = true
    private let waiter: Waiter
    private let input = ByteBuffer(capacity: 16 * 1024)
    private let output = ByteBuffer(capacity: 16 * 1024)
    private let replies = RedisReplies()
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
    /// How many of the batches don't have their deadlines in order.
    private var outOfOrderCount = 0
    private var lateInARow = 0
    private var isProbing = false
    private var nextProbe = Int64.max
    private var stopsAt = Int64.max
    /// When ``waiter`` is to be woken; monotonic milliseconds.
    private var alarm = Int64.max
    private var closingWords = ""

    /// Where the clock of this Redis is.
    private(set) var clock: StoreClock
    private var clockAskedAt: Int64 = 0
    private var nextClockQuestion: Int64

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

    private var isDown: Bool { lateInARow >= limits.lateCountsUntilDown }

    private var takesCommands: Bool {
        isOpen && batches.count < limits.maximumUnanswered && output.count < limits.maximumUnsentBytes
    }

    private var now: Int64 { waiter.loop.nowMilliseconds }

    // MARK: Collecting

    func collect(_ hit: WaitingHit, _ key: CountedKey, _ quota: Quota, unixMilliseconds: Int64) {
        let work: HitBatch.Work = switch quota.algorithm {
        case .slidingWindow, .fixedWindow: .window(quota, quota.window.number(atMilliseconds: unixMilliseconds))
        case .slidingLog, .tokenBucket: .hits(quota, cost: hit.cost)
        }
        batches[place(key, work, unixMilliseconds)].add(hit)
        waitingCount += 1
    }

    func collectLookup(_ lookup: WaitingHit, _ key: CountedKey, unixMilliseconds: Int64) {
        batches[place(key, .lookup, unixMilliseconds)].add(lookup)
        waitingCount += 1
    }

    /// For a bucket or a log.
    ///
    /// - Parameters:
    ///   - id: the hit's in its log; nil for a bucket.
    ///   - unixMilliseconds: about when.
    func collectGivenBack(_ cost: Int, id: Int?, _ key: CountedKey, _ quota: Quota, unixMilliseconds: Int64) {
        guard takesCommands else { return }
        batches[place(key, .givingBack(quota, cost: cost), unixMilliseconds)].giveBack(cost, id: id)
    }

    /// For a window.
    ///
    /// - Parameter unixMilliseconds: about when.
    func collectGivenBack(_ cost: Int, _ key: CountedKey, _ quota: Quota, _ number: Int64, unixMilliseconds: Int64) {
        // A window's key lives to the end of the next. What is given back later than that has nowhere to go.
        guard takesCommands, quota.window.number(atMilliseconds: unixMilliseconds) <= number + 1 else { return }
        batches[place(key, .window(quota, number), unixMilliseconds)].giveBack(cost)
    }

    /// The place of this turn's batch for a key and what is wanted of it.
    private func place(_ key: CountedKey, _ work: HitBatch.Work, _ unixMilliseconds: Int64) -> Int {
        let latest = key.latestBatch - batchesDone
        if key.latestBatch >= batchesSent, latest < batches.count, batches[latest].work == work { return latest }
        makeFlushDue()
        key.latestBatch = batchesDone + batches.count
        batches.append(HitBatch(key, work, unixMilliseconds: unixMilliseconds))
        return batches.count - 1
    }

    /// Takes over what another node of the cluster has not done, to be sent at the end of this turn.
    func redo(_ batch: HitBatch) {
        if batch.isWaitedFor {
            waitingCount += batch.hitCount
            setAlarm(at: batch.deadline)
        }
        append(batch)
    }

    private func append(_ batch: HitBatch) {
        makeFlushDue()
        outOfOrderCount += 1
        batches.append(batch)
    }

    private func makeFlushDue() {
        guard !isFlushDue else { return }
        isFlushDue = true
        waiter.loop.flushAtEndOfTurn(self)
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
        batch.deadline = min(batch.deadline, deadline)
        if let redo = batch.redo { return write(batch, again: redo) }
        switch batch.work {
        case .window(let quota, let number): writeChange(&batch, quota, number)
        case .hits, .givingBack:
            if !batch.sendsSource { batch.firstID = counters.takeIDs(batch.hitCount) }
            batch.appendScript(to: output)
            noteSent(.script, batch.deadline)
        case .lookup:
            output.appendGet(batch.key.plainKey)
            noteSent(.value, batch.deadline)
        }
    }

    private func writeChange(_ batch: inout HitBatch, _ quota: Quota, _ number: Int64) {
        let key = batch.key
        let wanted = key.ask(number, epoch: epoch)
        let windowKey = key.windowKey(number)
        var expected: ExpectedReplies = .change
        // INCRBY sets no expiry, and a key that takes back a hit may just have expired. Made with its expiry where it isn't
        // there, a key is never without, wherever this connection breaks off. In milliseconds from now, since Redis' clock may
        // not be ours.
        if wanted.birth || batch.givenBack != 0 {
            output.appendBirth(windowKey, expiresAfterMilliseconds: lifetimeMilliseconds(of: batch, quota, number))
            expected.insert(.birth)
        }
        output.appendIncrement(windowKey, by: batch.cost - batch.givenBack)
        batch.previous = quota.algorithm == .fixedWindow ? 0 : wanted.previous
        if batch.isWaitedFor, batch.previous == nil {
            output.appendGet(key.windowKey(number - 1))
            expected.insert(.previous)
        }
        noteSent(expected, batch.deadline)
    }

    /// How long a window's key is to live from the first hit on: to the end of the next window.
    private func lifetimeMilliseconds(of batch: HitBatch, _ quota: Quota, _ number: Int64) -> Int {
        min(Int(quota.window.end(of: number + 1) * 1000 - batch.unixMilliseconds), 2 * quota.window.lengthSeconds * 1000)
    }

    private func write(_ batch: HitBatch, again redo: HitBatch.RedoneCommands) {
        func append(_ command: ExpectedReplies, _ write: () -> Void) {
            guard redo.missing.contains(command) else { return }
            if redo.isAsking { output.appendAsking() }
            write()
        }
        if case .window(let quota, let number) = batch.work {
            let key = batch.key.windowKey(number)
            append(.birth) {
                output.appendBirth(key, expiresAfterMilliseconds: lifetimeMilliseconds(of: batch, quota, number))
            }
            append(.change) { output.appendIncrement(key, by: batch.cost - batch.givenBack) }
            append(.previous) { output.appendGet(batch.key.windowKey(number - 1)) }
        } else {
            append(.script) { batch.appendScript(to: output) }
            append(.value) { output.appendGet(batch.key.plainKey) }
        }
        noteSent(redo.missing, batch.deadline, redo: redo)
    }

    private func noteSent(_ expected: ExpectedReplies, _ deadline: Int64, redo: HitBatch.RedoneCommands? = nil) {
        setAlarm(at: deadline)
        sent.append(SentCommands(expected: expected, deadline: deadline, redo: redo))
    }

    private func sendOutput() {
        guard isOpen, transport.isWritable, !output.isEmpty || transport.hasUnsent else { return }
        if case .failed(let code) = transport.send(output) { close(because: transport.text(of: code)) }
    }

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

    private func close(because reason: String) {
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

    /// Has another node of the cluster do what this one didn't, once: it said that it has not, so nothing is counted twice.
    private func redirected(_ batch: HitBatch, _ answer: PartialAnswer, _ commands: SentCommands, _ redirect: RedisRedirect) {
        var (batch, expected) = (batch, commands.expected)
        guard counters.isCluster else {
            settle(&batch, answer, expected, isRefused: true)
            return close(because: "it is a node of a cluster, which needs an address of its own kind")
        }
        let target = counters.follow(redirect, from: node)
        let isDone = answer.redirected.isDisjoint(with: .batch)
        var missing = isDone ? answer.redirected.intersection(.previous) : expected
        // A key that isn't there yet is made where it is counted.
        if missing.contains(.change) { missing.insert(.birth) }
        if let target, batch.redo == nil, !missing.isEmpty {
            if batch.isWaitedFor { waitingCount -= batch.hitCount }
            batch.redo = HitBatch.RedoneCommands(missing: missing, answer: answer, isAsking: redirect.isAsk)
            return target.redo(batch)
        }
        if isDone {
            // Counted, but what was before is known only as it was seen last.
            if case .window(_, let number) = batch.work { batch.previous = batch.key.seen(from: number).previous }
            expected.subtract(answer.redirected)
        }
        settle(&batch, answer, expected, isRefused: !isDone)
    }

    // MARK: Counts

    private func settle(
        _ batch: inout HitBatch, _ answer: PartialAnswer, _ expected: ExpectedReplies, isRefused: Bool = false
    ) {
        if answer.isScriptMissing { return sendSource(of: batch) }
        let waiting = batch.isWaitedFor ? batch.hitCount : 0
        waitingCount -= waiting
        guard !answer.isRefused, !isRefused else {
            if batch.isLate { batch.key.takeRefusedLate(upTo: batch.cost) }
            return counters.answerWithoutRedis(&batch)
        }
        switch batch.work {
        case .window(let quota, let number): settleChange(&batch, quota, number, answer, expected)
        case .hits(let quota, let cost): settleHits(&batch, quota, cost: cost, answer)
        case .givingBack: break
        case .lookup: settleLookup(&batch, answer.value)
        }
    }

    /// Redis has forgotten a script (`SCRIPT FLUSH`, a failover), and so has done nothing: asks it again, with the source.
    private func sendSource(of batch: HitBatch) {
        var batch = batch
        batch.sendsSource = true
        append(batch)
    }

    private func settleChange(
        _ batch: inout HitBatch, _ quota: Quota, _ number: Int64, _ answer: PartialAnswer, _ expected: ExpectedReplies
    ) {
        let count = answer.count
        let key = batch.key
        if count == batch.cost - batch.givenBack, !expected.contains(.birth) {
            // Evicted or flushed, and made anew by INCRBY.
            output.appendExpiry(
                key.windowKey(number), afterMilliseconds: lifetimeMilliseconds(of: batch, quota, number))
            noteSent(.expiry, now + limits.deadlineMilliseconds)
        }
        // Below nothing, the key was lost with hits that were given back after: those are undone, each by who gave it back.
        let undone = min(max(batch.cost - count, 0), max(batch.givenBack, 0))
        let time = batch.unixMilliseconds
        if undone > 0 { collectGivenBack(-undone, key, quota, number, unixMilliseconds: time) }
        let before = max(count + undone - batch.cost, 0)
        key.note(number, current: before + batch.cost)
        let previous = max(batch.previous ?? answer.previous, 0)
        if expected.contains(.previous) {
            key.note(number, previous: previous, window: quota.window, askedAtUnixMilliseconds: time, epoch: epoch)
        }
        if batch.isLate {
            let refused = counters.refusedLate(of: batch)
            if refused > 0 { collectGivenBack(refused, key, quota, number, unixMilliseconds: time) }
        }
        guard batch.isWaitedFor else { return }
        inTime()
        let receipt = HitReceipt(.window(number), unixMilliseconds: time)
        batch.answerEach { hit, cost in
            let counts = WindowCounts(current: before + cost, previous: previous)
            hit.receiver.counted(ticket: hit.ticket, .counted(.windows(counts), receipt))
        }
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
        if nextClockQuestion <= now { askClock() }
        setAlarm(at: nextClockQuestion)
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
            firstWaitedFor += 1
            giveUp(at: firstWaitedFor - 1)
        }
        guard outOfOrderCount > 0 else { return }
        for place in firstWaitedFor..<batches.count where batches[place].isOutOfOrder && batches[place].isWaitedFor {
            if batches[place].deadline <= now { giveUp(at: place) } else { setAlarm(at: batches[place].deadline) }
        }
    }

    private func giveUp(at place: Int) {
        var batch = batches[place]
        guard batch.isWaitedFor else { return }
        lateInARow += 1
        waitingCount -= batch.hitCount
        if isDown { node.goOut(because: "no answer within \(limits.deadlineMilliseconds) ms, \(lateInARow) times in a row") }
        batch.isLate = true
        batch.key.batchIsLate()
        counters.answerWithoutRedis(&batch)
        batches[place] = batch
    }

    /// Redis answered a hit before its deadline.
    func inTime() {
        guard lateInARow > 0 else { return }
        if isDown { node.comeBack() }
        lateInARow = 0
    }

    private func askClock() {
        nextClockQuestion = now + limits.clockMilliseconds
        output.appendClockQuestion()
        clockAskedAt = unixClock()
        noteSent(.clock, now + limits.deadlineMilliseconds)
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
