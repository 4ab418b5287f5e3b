import Policy

// What the answers to batches of scripts and of lookups come to; for those of windows see ``RedisConnection``.
extension RedisConnection {
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
