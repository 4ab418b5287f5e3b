import Bytes
import EventLoop
import Policy

/// What a turn of the loop collects, and how it is sent at its end.
extension RedisConnection: TurnFlushing {
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
    func place(_ key: CountedKey, _ work: HitBatch.Work, _ unixMilliseconds: Int64) -> Int {
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

    func append(_ batch: HitBatch) {
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
    func lifetimeMilliseconds(of batch: HitBatch, _ quota: Quota, _ number: Int64) -> Int {
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

    func noteSent(_ expected: ExpectedReplies, _ deadline: Int64, redo: HitBatch.RedoneCommands? = nil) {
        setAlarm(at: deadline)
        sent.append(SentCommands(expected: expected, deadline: deadline, redo: redo))
    }

    func sendOutput() {
        guard isOpen, transport.isWritable, !output.isEmpty || transport.hasUnsent else { return }
        if case .failed(let code) = transport.send(output) { close(because: transport.text(of: code)) }
    }
}
