import Policy
import Testing

private let start: Int64 = 28_866_880 * 60_000

private func quota(_ algorithm: LimitAlgorithm, _ random: inout SeededRandom) throws -> Quota {
    let count = Int.random(in: 1...(Bool.random(using: &random) ? 6 : 40), using: &random)
    let burst = algorithm == .tokenBucket && Bool.random(using: &random) ? Int.random(in: 1...2 * count, using: &random) : nil
    return try Quota(algorithm, count: count, windowSeconds: Int.random(in: 1...3, using: &random), burst: burst)
}

/// Bursts, pauses, and steady traffic, around the ends of windows more often than elsewhere.
private func pause(_ quota: Quota, after now: Int64, _ random: inout SeededRandom) -> Int64 {
    let length = Int64(quota.window.lengthSeconds) * 1000
    switch Int.random(in: 0..<8, using: &random) {
    case 0...3: return Int64.random(in: 0...2, using: &random)
    case 4, 5: return Int64.random(in: 0...length / 8, using: &random)
    case 6: return length - now % length - Int64.random(in: 0...1, using: &random)
    default: return Int64.random(in: 0...2 * length, using: &random)
    }
}

private func cost(_ quota: Quota, _ random: inout SeededRandom) -> Int {
    Int.random(in: 0..<4, using: &random) > 0 ? 1 : Int.random(in: 1...min(quota.burst, 5) + 1, using: &random)
}

// MARK: How far each can over-admit

@Test(arguments: LimitAlgorithm.allCases)
func `random traffic never gets more through than the claimed number`(_ algorithm: LimitAlgorithm) throws {
    var random = SeededRandom(2)
    for _ in 0..<200 {
        var key = LimitedKey(try quota(algorithm, &random))
        var now = start
        for _ in 0..<300 {
            _ = key.hit(cost: cost(key.quota, &random), at: now)
            now += pause(key.quota, after: now, &random)
        }
        let (most, claimed) = (key.mostInAnyWindow, key.claimedMost)
        guard most <= claimed else {
            Issue.record("\(most) rather than \(claimed) of \(key.quota)")
            return
        }
    }
}

@Test(arguments: LimitAlgorithm.allCases, [1, 7, 10, 100])
func `a search for the worst traffic reaches the claimed number`(_ algorithm: LimitAlgorithm, _ count: Int) throws {
    let quota = try Quota(algorithm, count: count, windowSeconds: 1, burst: algorithm == .tokenBucket ? count / 2 + 3 : nil)
    var most = 0
    var claimed = 0
    // A burst at one moment of a window, and then every hit as soon as there is room for it.
    for moment: Int64 in [0, 1, 250, 500, 750, 998, 999] {
        var key = LimitedKey(quota)
        var now = start + moment
        while now < start + moment + 2000 {
            let status = key.hit(at: now)
            if !status.isAdmitted { now = status.retryAtUnixMilliseconds }
        }
        most = max(most, key.mostInAnyWindow)
        claimed = key.claimedMost
    }
    #expect(most == claimed)
}

// MARK: Against models that keep every moment

@Test func `a sliding log judges as a list of all moments does`() throws {
    var random = SeededRandom(3)
    for _ in 0..<150 {
        var key = LimitedKey(try quota(.slidingLog, &random))
        var now = start
        for _ in 0..<200 {
            let (used, cost) = (key.admitted(upTo: now), cost(key.quota, &random))
            let before = key
            let status = key.hit(cost: cost, at: now)
            let count = key.quota.count
            let isAdmitted = used + cost <= count
            var retryAt: Int64 = 0
            if !isAdmitted {
                retryAt = now + key.length
                let ends = cost <= count ? before.admitted.map { $0.time + key.length }.filter { $0 > now } : []
                retryAt = ends.first { before.admitted(upTo: $0) + cost <= count } ?? retryAt
            }
            guard status.isAdmitted == isAdmitted, status.retryAtUnixMilliseconds == retryAt,
                cost > count || status.remaining == count - used - (isAdmitted ? cost : 0)
            else {
                Issue.record("\(key.quota), cost \(cost), \(used) used, \(now - start) ms in: \(status)")
                return
            }
            now += pause(key.quota, after: now, &random)
        }
    }
}

@Test func `a token bucket judges as a level of tokens does that rises every millisecond`() throws {
    var random = SeededRandom(4)
    for round in 0..<300 {
        // The largest quotas too: what they reckon with must not overflow.
        let quota = round % 3 > 0
            ? try quota(.tokenBucket, &random)
            : try Quota(
                .tokenBucket, count: Int.random(in: 900_000_000...1_000_000_000, using: &random),
                windowSeconds: Int.random(in: 2_000_000...2_678_400, using: &random), burst: 1_000_000_000)
        var key = LimitedKey(quota)
        // In tokens, of which each is divided into as many parts as the window has milliseconds.
        var level = Int128(quota.burst) * Int128(key.length)
        var now = start
        for _ in 0..<100 {
            let cost = round % 3 > 0 ? cost(quota, &random) : Int.random(in: 1...quota.burst, using: &random)
            let asked = Int128(cost) * Int128(key.length)
            let status = key.hit(cost: cost, at: now)
            let isAdmitted = asked <= level
            var retryAt: Int64 = 0
            if isAdmitted {
                level -= asked
            } else if cost <= quota.burst {
                retryAt = now + Int64((asked - level + Int128(quota.count) - 1) / Int128(quota.count))
            } else {
                retryAt = now + key.length
            }
            guard status.isAdmitted == isAdmitted, status.retryAtUnixMilliseconds == retryAt,
                cost > quota.burst || status.remaining == Int(level / Int128(key.length))
            else {
                Issue.record("\(quota), cost \(cost), level \(level), \(now - start) ms in: \(status)")
                return
            }
            let pause = pause(quota, after: now, &random)
            now += pause
            level = min(level + Int128(pause) * Int128(quota.count), Int128(quota.burst) * Int128(key.length))
        }
    }
}

@Test func `a fixed window judges as a count of the moments in it does`() throws {
    var random = SeededRandom(5)
    for _ in 0..<200 {
        var key = LimitedKey(try quota(.fixedWindow, &random))
        var now = start
        for _ in 0..<100 {
            let (quota, number) = (key.quota, key.quota.window.number(atMilliseconds: now))
            let used = key.admitted.reduce(0) { $0 + (quota.window.number(atMilliseconds: $1.time) == number ? $1.cost : 0) }
            let cost = cost(quota, &random)
            let status = key.hit(cost: cost, at: now)
            let isAdmitted = used + cost <= quota.count
            #expect(status.isAdmitted == isAdmitted)
            #expect(status.remaining == quota.count - used - (isAdmitted ? cost : 0))
            #expect(status.resetUnixSeconds == (number + 1) * key.length / 1000)
            if !isAdmitted, cost <= quota.count { #expect(status.retryAtUnixMilliseconds == (number + 1) * key.length) }
            now += pause(quota, after: now, &random)
        }
    }
}

// MARK: What all of them promise

@Test(arguments: LimitAlgorithm.allCases)
func `a hit is admitted at the moment it was told, and not before`(_ algorithm: LimitAlgorithm) throws {
    var random = SeededRandom(6)
    for _ in 0..<200 {
        var key = LimitedKey(try quota(algorithm, &random))
        var now = start
        for _ in 0..<100 {
            let cost = cost(key.quota, &random)
            let status = key.hit(cost: cost, at: now)
            if !status.isAdmitted {
                let retryAt = status.retryAtUnixMilliseconds
                #expect(status.retryAfterSeconds == Int((retryAt - now + 999) / 1000) && status.retryAfterSeconds >= 1)
                var early = key
                var inTime = key
                guard cost > key.quota.burst
                    ? retryAt == now + key.length && !inTime.hit(cost: cost, at: retryAt).isAdmitted
                    : inTime.hit(cost: cost, at: retryAt).isAdmitted
                        && (retryAt == now + 1 || !early.hit(cost: cost, at: retryAt - 1).isAdmitted)
                else {
                    Issue.record("\(key.quota), cost \(cost), \(now - start) ms in: \(status)")
                    return
                }
            }
            now += pause(key.quota, after: now, &random)
        }
    }
}

@Test(arguments: LimitAlgorithm.allCases)
func `a question without a cost tells whether a hit would be admitted, and changes nothing`(_ algorithm: LimitAlgorithm) throws {
    var random = SeededRandom(7)
    for _ in 0..<50 {
        var key = LimitedKey(try quota(algorithm, &random))
        var now = start
        for _ in 0..<100 {
            let question = key.hit(cost: 0, at: now)
            let status = key.hit(at: now)
            #expect(question.isAdmitted == status.isAdmitted)
            #expect(question.remaining == status.remaining + (status.isAdmitted ? 1 : 0))
            #expect(question.retryAtUnixMilliseconds == status.retryAtUnixMilliseconds)
            now += pause(key.quota, after: now, &random)
        }
    }
}

@Test func `a hit that was given back has never been`() throws {
    var random = SeededRandom(8)
    for algorithm in [LimitAlgorithm.slidingLog, .tokenBucket] {
        for _ in 0..<200 {
            let quota = try quota(algorithm, &random)
            var (log, otherLog) = (SlidingLog(), SlidingLog())
            var (bucket, otherBucket) = (TokenBucket(), TokenBucket())
            var now = start
            for _ in 0..<60 {
                let cost = cost(quota, &random)
                if Bool.random(using: &random) {
                    if log.hit(quota, cost: cost, nowUnixMilliseconds: now).isAdmitted {
                        log.giveBack(cost: cost, unixMilliseconds: now)
                    }
                    if bucket.hit(quota, cost: cost, nowUnixMilliseconds: now).isAdmitted {
                        bucket.giveBack(
                            quota, cost: cost, refilledAtUnixMilliseconds: bucket.refilledAtUnixMilliseconds,
                            nowUnixMilliseconds: now)
                    }
                }
                let found = log.hit(quota, cost: cost, nowUnixMilliseconds: now)
                let expected = otherLog.hit(quota, cost: cost, nowUnixMilliseconds: now)
                #expect(found.isAdmitted == expected.isAdmitted && found.found == expected.found)
                let foundBucket = bucket.hit(quota, cost: cost, nowUnixMilliseconds: now)
                let expectedBucket = otherBucket.hit(quota, cost: cost, nowUnixMilliseconds: now)
                #expect(foundBucket.isAdmitted == expectedBucket.isAdmitted && foundBucket.found == expectedBucket.found)
                now += pause(quota, after: now, &random)
            }
        }
    }
}

@Test func `what a bucket has got back by itself is not put back once more`() throws {
    let quota = try Quota(.tokenBucket, count: 10, windowSeconds: 1)
    var bucket = TokenBucket()
    _ = bucket.hit(quota, cost: 10, nowUnixMilliseconds: start)
    let refilledAt = bucket.refilledAtUnixMilliseconds
    #expect(refilledAt == start + 1000)
    _ = bucket.hit(quota, cost: 10, nowUnixMilliseconds: start + 1000)
    bucket.giveBack(quota, cost: 10, refilledAtUnixMilliseconds: refilledAt, nowUnixMilliseconds: start + 1000)
    let isAdmitted = bucket.hit(quota, cost: 1, nowUnixMilliseconds: start + 1000).isAdmitted
    #expect(!isAdmitted)
}

@Test func `no state that somebody may have planted, no cost and no time overflows anything`() throws {
    let numbers: [Int] = [.min, -1, 0, 1, 99, 1 << 60, .max]
    for algorithm in LimitAlgorithm.allCases {
        let largest = algorithm == .slidingLog ? 10_000 : 1_000_000_000
        for quota in try [Quota(algorithm, count: 1, windowSeconds: 1), Quota(algorithm, count: largest, windowSeconds: 2_678_400)] {
            for first in numbers {
                for second in numbers {
                    for now: Int64 in [.min, 0, start, .max] {
                        for cost in numbers {
                            let states: [LimitState] = [
                                .windows(WindowCounts(current: first, previous: second)),
                                .log(LogView(
                                    used: first, newestUnixMilliseconds: Int64(second), roomAtUnixMilliseconds: Int64(second))),
                                .bucket(TokenBucket(fullAtMilliseconds: Int64(first), fullAtParts: Int64(second))),
                            ]
                            for state in states {
                                let status = quota.judge(state, cost: cost, nowUnixMilliseconds: now)
                                #expect(status.isAdmitted ? status.retryAfterSeconds == 0 : status.retryAfterSeconds >= 1)
                                #expect(status.remaining >= 0 && status.remaining <= max(quota.burst, 0))
                            }
                        }
                        var bucket = TokenBucket(fullAtMilliseconds: Int64(first), fullAtParts: Int64(second))
                        _ = bucket.hit(quota, cost: second, nowUnixMilliseconds: now)
                        bucket.giveBack(
                            quota, cost: second, refilledAtUnixMilliseconds: .max, nowUnixMilliseconds: now)
                        var log = SlidingLog()
                        _ = log.hit(quota, cost: second, nowUnixMilliseconds: now)
                        log.giveBack(cost: first, unixMilliseconds: now)
                        log.raise(
                            to: LogView(used: first, newestUnixMilliseconds: now, roomAtUnixMilliseconds: 0), quota,
                            nowUnixMilliseconds: now)
                    }
                }
            }
        }
    }
}

@Test func `a state of another algorithm is refused`() throws {
    let quota = try Quota(.tokenBucket, count: 5, windowSeconds: 60)
    let status = quota.judge(.windows(WindowCounts(current: 1, previous: 0)), cost: 1, nowUnixMilliseconds: start)
    #expect(!status.isAdmitted && status.retryAfterSeconds == 60)
}

@Test func `what is out of view is forgotten, and a clock that was set back locks nobody out`() throws {
    let quota = try Quota(.slidingLog, count: 100, windowSeconds: 1)
    var log = SlidingLog()
    for step: Int64 in 0..<10_000 {
        _ = log.hit(quota, cost: 1, nowUnixMilliseconds: start + step * 7)
        #expect(log.slotCount <= 300)
    }
    let view = log.hit(quota, cost: 1, nowUnixMilliseconds: start - 3_600_000).found
    #expect(view == LogView())
    // A bucket is never emptier than empty.
    let tokens = try Quota(.tokenBucket, count: 10, windowSeconds: 1)
    var bucket = TokenBucket()
    _ = bucket.hit(tokens, cost: 10, nowUnixMilliseconds: start)
    let isRefused = !bucket.hit(tokens, cost: 1, nowUnixMilliseconds: start - 3_600_000).isAdmitted
    let isAdmitted = bucket.hit(tokens, cost: 1, nowUnixMilliseconds: start - 3_600_000 + 100).isAdmitted
    #expect(isRefused && isAdmitted)
}

@Test func `a log takes hits that come some milliseconds out of order`() throws {
    let quota = try Quota(.slidingLog, count: 3, windowSeconds: 1)
    var log = SlidingLog()
    for time in [5, 3, 4] { _ = log.hit(quota, cost: 1, nowUnixMilliseconds: start + Int64(time)) }
    let view = log.hit(quota, cost: 2, nowUnixMilliseconds: start + 6).found
    #expect(view == LogView(used: 3, newestUnixMilliseconds: start + 5, roomAtUnixMilliseconds: start + 1004))
}

// MARK: Quotas

@Test func `quotas of accepted numbers are made`() throws {
    #expect(try Quota(count: 100, windowSeconds: 60).burst == 100)
    #expect(try Quota(.tokenBucket, count: 100, windowSeconds: 60, burst: 7).burst == 7)
    #expect(try Quota(.fixedWindow, count: 1_000_000_000, windowSeconds: 2_678_400).algorithm == .fixedWindow)
}

@Test func `other quotas are refused, with what was found and what is accepted`() {
    func message(_ algorithm: LimitAlgorithm, _ count: Int, _ seconds: Int, _ burst: Int? = nil) -> String {
        do throws(InvalidQuota) {
            _ = try Quota(algorithm, count: count, windowSeconds: seconds, burst: burst)
            return "none"
        } catch { return error.description }
    }
    #expect(message(.slidingWindow, 0, 60) == "a count of 0; sliding-window accepts 1 to 1000000000")
    #expect(message(.slidingLog, 10_001, 60) == "a count of 10001; sliding-log accepts 1 to 10000")
    #expect(message(.fixedWindow, 1, 0) == "a window of 0 seconds; accepted are 1 to 2678400")
    #expect(message(.fixedWindow, 1, 2_678_401) == "a window of 2678401 seconds; accepted are 1 to 2678400")
    #expect(message(.fixedWindow, 1, 1, 2) == "a burst with fixed-window; only token-bucket has one")
    #expect(message(.tokenBucket, 1, 1, 0) == "a burst of 0; accepted are 1 to 1000000000")
    #expect(
        message(.tokenBucket, 1, 60, 1_000_000)
            == "a burst of 1000000 that takes 60000000 seconds to be refilled; accepted are less than 31622400")
}
