import Testing

@testable import KeySources

@Suite struct `The pause until the next fetch` {
    private let rules = RefreshRules()

    @Test(arguments: [
        (.unstated, 300), (.none, 60), (.seconds(0), 60), (.seconds(59), 60), (.seconds(600), 600), (.seconds(1 << 31), 86_400),
    ] as [(Freshness, Int64)])
    func `is about four fifths of an answer's time, within bounds`(_ freshness: Freshness, _ seconds: Int64) {
        #expect(rules.pauseMilliseconds(after: freshness, jitter: 0) == seconds * 750)
        let longest = rules.pauseMilliseconds(after: freshness, jitter: 1)
        #expect(longest >= seconds * 849 && longest <= seconds * 850)
    }

    @Test func `doubles with each failure up to a minute, and is never longer`() {
        let pauses = (1...9).map { RefreshRules.retryPauseMilliseconds(failures: $0, jitter: 0) }
        #expect(pauses == [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000])
        #expect(RefreshRules.retryPauseMilliseconds(failures: 1_000_000, jitter: 1) == 45_000)
    }
}

@Suite struct `The schedule of a source` {
    private func scheduleAfterALook(endingAt now: Int64) -> RefreshSchedule {
        var schedule = RefreshSchedule(firstAt: 0, unknownKeyIntervalSeconds: 30)
        schedule.begin()
        schedule.end(nextAtMilliseconds: now + 240_000)
        return schedule
    }

    /// `#expect` can't call what mutates.
    private func wish(_ schedule: inout RefreshSchedule, at now: Int64) -> Bool { schedule.wish(atMilliseconds: now) }

    @Test func `begins at once and is not due while a look is under way`() {
        var schedule = RefreshSchedule(firstAt: 5, unknownKeyIntervalSeconds: 30)
        #expect(schedule.dueAtMilliseconds == 5)
        #expect(!schedule.isLooking)
        schedule.begin()
        #expect(schedule.dueAtMilliseconds == nil)
        #expect(schedule.isLooking)
        schedule.end(nextAtMilliseconds: 70)
        #expect(schedule.dueAtMilliseconds == 70)
        #expect(!schedule.isLooking)
    }

    @Test func `hears a wish at once, and another only after the interval`() {
        var schedule = scheduleAfterALook(endingAt: 1000)
        #expect(wish(&schedule, at: 2000))
        #expect(schedule.dueAtMilliseconds == 2000)
        #expect(schedule.isLooking, "it is as good as under way")
        #expect(!wish(&schedule, at: 2000))
        schedule.begin()
        schedule.end(nextAtMilliseconds: 240_000)
        #expect(!wish(&schedule, at: 31_999))
        #expect(!schedule.isLooking)
        #expect(schedule.dueAtMilliseconds == 240_000)
        #expect(wish(&schedule, at: 32_000))
        #expect(schedule.dueAtMilliseconds == 32_000)
    }

    @Test func `lets a look that is under way stand for a wish`() {
        var schedule = scheduleAfterALook(endingAt: 1000)
        schedule.begin()
        #expect(!wish(&schedule, at: 2000))
        schedule.end(nextAtMilliseconds: 240_000)
        #expect(schedule.dueAtMilliseconds == 240_000)
        #expect(wish(&schedule, at: 2001), "the interval begins with a wish that was heard")
    }
}
