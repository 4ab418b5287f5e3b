import Testing

@testable import ReverseProxy

@Suite struct `The retry budget` {
    private func budget(percent: Int, minimum: Int, workers: Int = 1) -> RetryBudget {
        var retries = Retries()
        (retries.budgetPercent, retries.budgetMinimum) = (percent, minimum)
        return RetryBudget(retries, workerCount: workers)
    }

    @Test func `is a part of the requests, and no less than its minimum`() {
        var budget = budget(percent: 20, minimum: 3)
        #expect((0..<5).map { _ in budget.take(now: 0) } == [true, true, true, false, false])
        for _ in 0..<25 { budget.noteRequest(now: 1) }
        #expect((0..<5).map { _ in budget.take(now: 2) } == [true, true, false, false, false])
        // All of it was ten seconds ago.
        #expect((0..<5).map { _ in budget.take(now: 10_001) } == [true, true, true, false, false])
    }

    @Test func `shares the minimum between workers`() {
        var budget = budget(percent: 0, minimum: 10, workers: 4)
        #expect((0..<4).map { _ in budget.take(now: 0) } == [true, true, true, false])
    }

    /// An outage: every request fails, and is sent again as often as it may be.
    @Test(arguments: UInt64(1)...10)
    func `never sends more again than its part`(seed: UInt64) {
        var random = SplitMix64(state: seed)
        var budget = budget(percent: 20, minimum: 5)
        var now: Int64 = 0
        var events: [(time: Int64, isRetry: Bool)] = []
        for _ in 0..<2000 {
            now += Int64.random(in: 0...30, using: &random)
            budget.noteRequest(now: now)
            events.append((now, false))
            for _ in 0..<5 where budget.take(now: now) { events.append((now, true)) }
            events.removeAll { $0.time <= now - 10_000 }
            // A tenth of the window is forgotten at once, so its oldest part may be forgotten already.
            let retries = events.count { $0.isRetry && $0.time > now - 9_000 }
            #expect(retries <= max(5, events.count { !$0.isRetry } / 5))
        }
    }
}
