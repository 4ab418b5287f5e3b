import Policy

/// What the answers to batches come to.
extension RedisConnection {
    func settle(
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

    /// Has another node of the cluster do what this one didn't, once: it said that it has not, so nothing is counted twice.
    func redirected(_ batch: HitBatch, _ answer: PartialAnswer, _ commands: SentCommands, _ redirect: RedisRedirect) {
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

    /// Answers the hits of a batch that a bucket or a log has judged.
    func settleHits(_ batch: inout HitBatch, _ quota: Quota, cost: Int, _ answer: PartialAnswer) {
        let now = batch.unixMilliseconds
        var state = LimitState(quota, found: answer.numbers)
        if batch.isLate { giveBackLate(batch, quota, cost, &state) }
        guard batch.isWaitedFor else { return }
        inTime()
        let firstID = batch.firstID
        batch.key.note(state.after(batch.hitCount, quota, cost: cost, nowUnixMilliseconds: now))
        batch.answerEach { hit, sum in
            let (found, charge) = state.hit(quota, cost: cost, id: firstID + sum / cost - 1, nowUnixMilliseconds: now)
            hit.receiver.counted(
                ticket: hit.ticket, .counted(found, HitReceipt(charge, unixMilliseconds: now)))
        }
    }

    /// The hits were answered without Redis, since this came late. It keeps as many as passed, and no more.
    private func giveBackLate(_ batch: HitBatch, _ quota: Quota, _ cost: Int, _ state: inout LimitState) {
        var passed = batch.hitCount - counters.refusedLate(of: batch) / cost
        for index in 0..<batch.hitCount {
            let id = batch.firstID + index
            let (_, charge) = state.hit(quota, cost: cost, id: id, nowUnixMilliseconds: batch.unixMilliseconds)
            guard charge != .nothing else { break }
            if passed > 0 {
                passed -= 1
            } else {
                collectGivenBack(cost, id: id, batch.key, quota, unixMilliseconds: batch.unixMilliseconds)
            }
        }
    }

    func settleLookup(_ batch: inout HitBatch, _ value: Int64?) {
        if batch.isLate { batch.key.takeRefusedLate(upTo: 0) }
        guard batch.isWaitedFor else { return }
        inTime()
        let result = value.map { RevocationResult.revoked(unixSeconds: $0) } ?? .notRevoked
        batch.answerEach { hit, _ in hit.receiver.lookedUp(ticket: hit.ticket, result) }
    }
}

extension LimitState {
    /// What it will be after some hits.
    fileprivate func after(_ count: Int, _ quota: Quota, cost: Int, nowUnixMilliseconds now: Int64) -> LimitState {
        var state = self
        for _ in 0..<count where state.hit(quota, cost: cost, id: 0, nowUnixMilliseconds: now).charge == .nothing { break }
        return state
    }
}
