@testable import Policy
import Testing

private let minute = Window(lengthSeconds: 60)
/// The start of a minute: number 28,866,880.
private let start: Int64 = 28_866_880 * 60_000

private func judge(
    _ current: Int, _ previous: Int, limit: Int = 100, after milliseconds: Int64, window: Window = minute
) -> LimitStatus {
    SlidingWindow.judge(
        WindowCounts(current: current, previous: previous), limit: limit, window: window,
        nowUnixMilliseconds: start + milliseconds)
}

@Test func `windows are numbered by whole lengths since 1970`() {
    #expect(minute.number(at: 28_866_880 * 60) == 28_866_880)
    #expect(minute.number(at: 28_866_880 * 60 + 59) == 28_866_880)
    #expect(minute.number(atMilliseconds: start + 59_999) == 28_866_880)
    #expect(minute.number(atMilliseconds: start + 60_000) == 28_866_881)
    #expect(minute.end(of: 28_866_880) == 28_866_881 * 60)
    #expect(minute.number(at: -1) == 0)
}

@Test func `the hundredth hit of a fresh window is the last one admitted`() {
    let first = judge(1, 0, after: 0)
    #expect(first == LimitStatus(
        isAdmitted: true, limit: 100, remaining: 99, resetUnixSeconds: 28_866_881 * 60, retryAfterSeconds: 0,
        retryAtUnixMilliseconds: 0))
    #expect(judge(100, 0, after: 30_000).isAdmitted)
    #expect(judge(100, 0, after: 30_000).remaining == 0)
    #expect(!judge(101, 0, after: 30_000).isAdmitted)
}

@Test func `a full window before counts by the share of it that is still in view`() {
    #expect(!judge(1, 100, after: 0).isAdmitted)
    #expect(!judge(1, 100, after: 599).isAdmitted)
    #expect(judge(1, 100, after: 600).isAdmitted)
    #expect(judge(50, 100, after: 30_000).isAdmitted)
    #expect(!judge(51, 100, after: 30_000).isAdmitted)
    #expect(judge(20, 100, after: 30_000).remaining == 30)
}

@Test func `after a full fresh window the wait leads into the next one`() {
    // 100 hits are the previous window's then, and one fits once 99 of them are in view: 600 ms later.
    #expect(judge(101, 0, after: 30_000).retryAfterSeconds == 31)
    #expect(judge(101, 0, after: 59_999).retryAfterSeconds == 1)
    #expect(judge(101, 0, after: 30_000).retryAtUnixMilliseconds == start + 60_600)
    // 39.4 s are left of this window, and 0.6 s are needed of the next.
    #expect(judge(101, 0, after: 20_600).retryAfterSeconds == 40)
    #expect(judge(101, 0, after: 20_599).retryAfterSeconds == 41)
}

@Test func `hits that others will give back do not make the wait longer`() {
    #expect(judge(200, 0, after: 30_000).retryAfterSeconds == judge(101, 0, after: 30_000).retryAfterSeconds)
    #expect(judge(1, 200, after: 0).retryAfterSeconds == judge(1, 100, after: 0).retryAfterSeconds)
}

@Test func `a limit of one lets one hit through in two windows at the least`() {
    #expect(judge(1, 0, limit: 1, after: 0).isAdmitted)
    #expect(judge(2, 0, limit: 1, after: 0).retryAfterSeconds == 120)
    #expect(judge(1, 1, limit: 1, after: 59_999).retryAfterSeconds == 1)
}

@Test func `a limit of nothing admits nothing`() {
    #expect(!judge(0, 0, limit: 0, after: 0).isAdmitted)
    #expect(!judge(1, 0, limit: -3, after: 0).isAdmitted)
    #expect(judge(1, 0, limit: 0, after: 0).retryAfterSeconds == 60)
}

@Test func `negative counts are none`() {
    #expect(judge(-1, -1, after: 0) == judge(0, 0, after: 0))
    #expect(judge(.min, .min, after: 0) == judge(0, 0, after: 0))
}

@Test func `counts and limits of any size are judged exactly`() {
    let most = Int.max
    #expect(judge(most, 0, limit: most, after: 1).isAdmitted)
    #expect(!judge(1, most, limit: most, after: 0).isAdmitted)
    #expect(judge(1, most, limit: most, after: 1).isAdmitted)
    #expect(!judge(most, most, limit: most, after: 59_999).isAdmitted)
    #expect(!judge(most, most, limit: 1, after: 30_000).isAdmitted)
    let year = Window(lengthSeconds: Window.acceptedSeconds.upperBound)
    #expect(judge(most, most, limit: most, after: 1, window: year).retryAfterSeconds >= 1)
    // A double would take these two for the same.
    let half = 1 << 60
    #expect(judge(half, 2 * half, limit: 2 * half, after: 30_000).isAdmitted)
    #expect(!judge(half + 1, 2 * half, limit: 2 * half, after: 30_000).isAdmitted)
}

// MARK: Against a slow reference

/// The rule as it is written down, in 128 bits, with no step left out.
private struct Reference {
    let counts: WindowCounts
    let cost: Int
    let limit: Int
    let length: Int64
    let elapsed: Int64

    static func fits(_ current: Int, _ previous: Int, _ limit: Int, _ length: Int64, _ elapsed: Int64) -> Bool {
        Int128(previous) * Int128(length - elapsed) + Int128(current) * Int128(length) <= Int128(limit) * Int128(length)
    }

    var isAdmitted: Bool { Self.fits(counts.current, counts.previous, limit, length, elapsed) }

    var remaining: Int {
        let current = isAdmitted ? counts.current : counts.current - cost
        var more = 0
        while Self.fits(current + more + 1, counts.previous, limit, length, elapsed) { more += 1 }
        return more
    }

    /// Tries one millisecond after the other.
    var wait: Int64 {
        guard cost <= limit else { return length }
        let previous = min(counts.previous, limit)
        var admitted = counts.current - cost
        while admitted > 0, !Self.fits(admitted, previous, limit, length, elapsed) { admitted -= 1 }
        var wait: Int64 = 1
        while true {
            let moment = elapsed + wait
            let fits = switch moment / length {
            case 0: Self.fits(admitted + cost, previous, limit, length, moment)
            case 1: Self.fits(cost, admitted, limit, length, moment - length)
            default: true
            }
            if fits { return wait }
            wait += 1
        }
    }
}

@Test func `every judgement is the one that the written rule gives`() {
    var random = SeededRandom(1)
    for _ in 0..<1_500 {
        let window = Window(lengthSeconds: Int.random(in: 1...3, using: &random))
        let length = Int64(window.lengthSeconds) * 1000
        let limit = Int.random(in: 1...(Bool.random(using: &random) ? 5 : 130), using: &random)
        let cost = Bool.random(using: &random) ? 1 : Int.random(in: 1...limit + 1, using: &random)
        let counts = WindowCounts(
            current: cost + Int.random(in: 0...(limit * 5 / 4 + 2), using: &random),
            previous: Int.random(in: 0...(limit * 5 / 4 + 2), using: &random))
        let now = Int64.random(in: 0...2_000_000_000_000, using: &random)
        let elapsed = now % length
        let reference = Reference(counts: counts, cost: cost, limit: limit, length: length, elapsed: elapsed)
        let status = SlidingWindow.judge(counts, limit: limit, window: window, cost: cost, nowUnixMilliseconds: now)
        let isAdmitted = reference.isAdmitted
        let wait = isAdmitted ? 0 : reference.wait
        guard status.isAdmitted == isAdmitted, status.remaining == reference.remaining,
            status.retryAtUnixMilliseconds == (isAdmitted ? 0 : now + wait),
            status.retryAfterSeconds == Int(wait + 999) / 1000,
            status.resetUnixSeconds == (now - elapsed + length) / 1000
        else {
            Issue.record("\(counts), cost \(cost), limit \(limit), \(window), \(elapsed) ms in: \(status), but \(reference)")
            return
        }
    }
}
