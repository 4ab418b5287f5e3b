import EventLoop
import Policy
import Synchronization
import Testing

@testable import Counters

private let minute = Window(lengthSeconds: 60)
private let start: Int64 = 28_866_880 * 60_000

/// Hits and, where it is refused, gives back. Whether it was admitted.
private func admit(_ counters: MemoryCounters, _ key: String, at time: Int64, limit: Int = 100) -> Bool {
    let key = Array(key.utf8)
    let (counts, number) = counters.hit(key.span, window: minute, nowUnixMilliseconds: time)
    let status = SlidingWindow.judge(counts, limit: limit, window: minute, nowUnixMilliseconds: time)
    if !status.isAdmitted { counters.giveBack(key.span, number: number) }
    return status.isAdmitted
}

@Test func `two hundred hits from several threads admit exactly one hundred`() throws {
    let counters = MemoryCounters(capacity: 1000)
    let admitted = Atomic(0)
    let threads = try (0..<4).map { index in
        try SystemThread(name: "hits-\(index)") {
            for _ in 0..<50 where admit(counters, "ratelimit:one:", at: start + 1000) {
                admitted.add(1, ordering: .relaxed)
            }
        }
    }
    for thread in threads { thread.join() }
    #expect(admitted.load(ordering: .relaxed) == 100)
    // What was refused doesn't count.
    let counts = counters.hit(Array("ratelimit:one:".utf8).span, window: minute, nowUnixMilliseconds: start + 60_000).counts
    #expect(counts == WindowCounts(current: 1, previous: 100))
}

@Test func `a flood of refused hits doesn't lock a user out`() {
    let counters = MemoryCounters(capacity: 1000)
    for _ in 0..<1000 { _ = admit(counters, "a", at: start) }
    #expect(admit(counters, "a", at: start + 60_600))
    #expect(!admit(counters, "a", at: start + 60_600))
    #expect(admit(counters, "b", at: start + 60_600))
}

@Test func `what no longer matters is forgotten, and never more is held than fits`() {
    let counters = MemoryCounters(capacity: 6400)
    for user in 0..<1000 { _ = admit(counters, "user \(user)", at: start) }
    #expect(counters.count == 1000)
    // In one shard after the other, as hits come: once to make them old, once to forget them.
    for window: Int64 in [2, 4, 6] {
        for user in 0..<1000 { _ = admit(counters, "other \(user)", at: start + window * 60_000) }
    }
    #expect(counters.count <= 1000)
    for user in 0..<100_000 { _ = admit(counters, "many \(user)", at: start + 360_000) }
    #expect(counters.count <= 6400)
}
