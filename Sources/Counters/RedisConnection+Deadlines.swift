/// What happens when Redis is late, and how it is found to be back.
extension RedisConnection {
    func setAlarm(at time: Int64) {
        guard time < alarm else { return }
        alarm = time
        waiter.setDeadline(afterMilliseconds: time - now)
    }

    /// Answers the hits that have waited too long, asks a Redis that is late too often whether it is there, and ends a
    /// connection that has been silent for too long.
    func keepDeadlines() {
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

    func probeAnswered(inTime isInTime: Bool) {
        isProbing = false
        if isInTime { return inTime() }
        nextProbe = now + limits.probeMilliseconds
        setAlarm(at: nextProbe)
    }
}
