import EventLoop
import Policy
import Synchronization
import Testing

@testable import Counters

private let hundred = StoreHost.quota(count: 100)
private let start: Int64 = 28_866_880 * 60_000

extension MemoryCounters {
    fileprivate func hit(_ key: String, _ quota: Quota, cost: Int = 1, at time: Int64) -> (LimitStatus, HitReceipt) {
        let key = Array(key.utf8)
        let (state, charge) = hit(key.span, quota, cost: cost, nowUnixMilliseconds: time)
        return (quota.judge(state, cost: cost, nowUnixMilliseconds: time), HitReceipt(charge, unixMilliseconds: time))
    }

    fileprivate func giveBack(_ key: String, _ quota: Quota, cost: Int = 1, _ receipt: HitReceipt) {
        let key = Array(key.utf8)
        giveBack(key.span, quota, cost: cost, receipt, nowUnixMilliseconds: receipt.unixMilliseconds)
    }

    /// Hits and, where it is refused, gives back. Whether it was admitted.
    fileprivate func admit(_ key: String, _ quota: Quota = hundred, cost: Int = 1, at time: Int64) -> Bool {
        let (status, receipt) = hit(key, quota, cost: cost, at: time)
        if !status.isAdmitted { giveBack(key, quota, cost: cost, receipt) }
        return status.isAdmitted
    }
}

@Test(arguments: LimitAlgorithm.allCases)
func `two hundred hits from several threads admit exactly one hundred`(_ algorithm: LimitAlgorithm) throws {
    let counters = MemoryCounters(capacity: 1000)
    let quota = StoreHost.quota(algorithm, count: 100)
    let admitted = Atomic(0)
    let threads = try (0..<4).map { index in
        try SystemThread(name: "hits-\(index)") {
            for _ in 0..<50 where counters.admit("ratelimit:one:", quota, at: start + 1000) {
                admitted.add(1, ordering: .relaxed)
            }
        }
    }
    for thread in threads { thread.join() }
    #expect(admitted.load(ordering: .relaxed) == 100)
}

@Test func `what was refused doesn't count`() {
    let counters = MemoryCounters(capacity: 1000)
    for _ in 0..<1000 { _ = counters.admit("a", at: start) }
    #expect(counters.admit("a", at: start + 60_600))
    #expect(!counters.admit("a", at: start + 60_600))
    #expect(counters.admit("b", at: start + 60_600))
}

@Test(arguments: LimitAlgorithm.allCases)
func `hits count what they cost, and given back they don't`(_ algorithm: LimitAlgorithm) {
    let counters = MemoryCounters(capacity: 1000)
    let quota = StoreHost.quota(algorithm, count: 100)
    let (first, receipt) = counters.hit("a", quota, cost: 60, at: start)
    #expect(first.isAdmitted && first.remaining == 40)
    #expect(!counters.admit("a", quota, cost: 41, at: start))
    #expect(counters.hit("a", quota, cost: 0, at: start).0.remaining == 40)
    counters.giveBack("a", quota, cost: 60, receipt)
    let (asked, question) = counters.hit("a", quota, cost: 0, at: start)
    #expect(asked.isAdmitted && asked.remaining == 100 && question.charge == .nothing)
    counters.giveBack("a", quota, cost: 0, question)
    #expect(counters.admit("a", quota, cost: 100, at: start))
    #expect(!counters.hit("a", quota, cost: 0, at: start).0.isAdmitted)
}

@Test func `a key whose quota now counts in another way starts anew`() {
    let counters = MemoryCounters(capacity: 1000)
    for first in LimitAlgorithm.allCases {
        for second in LimitAlgorithm.allCases {
            let key = "\(first) \(second)"
            let (_, receipt) = counters.hit(key, StoreHost.quota(first, count: 100), cost: 100, at: start)
            let quota = StoreHost.quota(second, count: 100)
            let isKept = first == second || Set([first, second]) == [.slidingWindow, .fixedWindow]
            #expect(counters.admit(key, quota, at: start) == !isKept)
            // A late one in the old way changes nothing.
            if !isKept {
                counters.giveBack(key, StoreHost.quota(first, count: 100), cost: 100, receipt)
                #expect(counters.hit(key, quota, cost: 0, at: start).0.remaining == 99)
            }
        }
    }
}

@Test(arguments: LimitAlgorithm.allCases)
func `counting starts from what was counted elsewhere, once`(_ algorithm: LimitAlgorithm) {
    let counters = MemoryCounters(capacity: 1000)
    let quota = StoreHost.quota(algorithm, count: 100)
    let floor: LimitState = switch algorithm {
    case .slidingWindow, .fixedWindow: .windows(WindowCounts(current: 60, previous: 0))
    case .slidingLog: .log(LogView(used: 60, newestUnixMilliseconds: start - 10, roomAtUnixMilliseconds: 0))
    case .tokenBucket: .bucket(TokenBucket(fullAtMilliseconds: start + 36_000, fullAtParts: 0))
    }
    let key = Array("a".utf8)
    for left in [39, 38, 37] {
        let state = counters.hit(key.span, quota, cost: 1, nowUnixMilliseconds: start, startingFrom: floor).state
        #expect(quota.judge(state, cost: 1, nowUnixMilliseconds: start).remaining == left)
    }
}

@Test func `what no longer matters is forgotten, and never more is held than fits`() {
    let counters = MemoryCounters(capacity: 64 * 400)
    for user in 0..<6400 { _ = counters.admit("user \(user)", at: start) }
    #expect(counters.count == 6400)
    for user in 0..<12_800 { _ = counters.admit("other \(user)", at: start + 120_000) }
    #expect(counters.count <= 12_800 + 64 * 10)
    for user in 0..<100_000 { _ = counters.admit("many \(user)", at: start + 240_000) }
    #expect(counters.count <= 64 * 400)
}

@Test func `long logs take the room of many keys`() {
    let counters = MemoryCounters(capacity: 64 * 40)
    let quota = StoreHost.quota(.slidingLog, count: 1200)
    for user in 0..<1000 {
        for step: Int64 in 0..<120 { _ = counters.admit("user \(user)", quota, at: start + step) }
    }
    // Each weighs 11, so that 4 of them fit into a shard, and one more while it grows.
    #expect(counters.count <= 64 * 5)
}
