import Bytes
import Counters
import EnvoyProtocol
import Policy
import Testing

@testable import PolicyDaemon

/// Asks the service, and keeps what it answers.
private final class Asker: RateLimitReceiver {
    let counter = StandInCounter()
    private let service: RateLimitService
    private(set) var outcomes: [RateLimitOutcome] = []

    /// - Parameter limits: names, which are the descriptors' keys as well.
    init(_ limits: [(name: String, count: Int, windowSeconds: Int)]) throws {
        var rules = RateLimitRules()
        rules.domains[Array("d".utf8)] = try limits.map { limit in
            let quota = try Quota(count: limit.count, windowSeconds: limit.windowSeconds)
            return RateLimitRules.Rule(name: limit.name, entries: [(Array(limit.name.utf8), nil)], quota: quota, isShadow: false)
        }
        service = RateLimitService(rules, counters: counter)
    }

    func limited(_ outcome: RateLimitOutcome, ticket: UInt64) { outcomes.append(outcome) }

    /// Asks about these descriptors; each hit counts for `cost`.
    func ask(_ names: String..., cost: UInt8 = 1) throws {
        var message = Self.field(1, Array("d".utf8))
        for name in names { message += Self.field(2, Self.field(1, Self.field(1, Array(name.utf8)) + Self.field(2, [0x78]))) }
        message += [3 << 3, cost]
        let request = try RateLimitRequest(message.span, 0..<message.count)
        service.judge(request, message.span, nowUnixMilliseconds: now, receiver: self, ticket: 0)
    }

    private static func field(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] { [number << 3 | 2, UInt8(bytes.count)] + bytes }

    /// The latest answer's finding that the client is told of.
    var closest: LimitFinding? {
        guard case .judged(_, let closest)? = outcomes.last else { return nil }
        return closest
    }
}

@Suite struct `Envoy's rate limit service` {
    /// Half of its minute has passed, and what was counted in it counts until the next one ends.
    @Test func `tells when a request could succeed, not when the window ends`() throws {
        let asker = try Asker([("minute", 1, 60)])
        for _ in 0..<2 { try asker.ask("minute") }
        let closest = try #require(asker.closest)
        #expect(closest.isOver)
        #expect((closest.resetUnixSeconds - now / 1000, closest.retryAfterSeconds) == (30, 90))
        let message = ByteBuffer(capacity: 256)
        RateLimitResponse([closest], closest: closest).write(to: message, nowUnixSeconds: now / 1000)
        #expect(message.bytes.text.hasSuffix("retry-after\u{12}\u{2}90"))
    }

    @Test func `tells of the limit that has the least share left, or that has to be waited for longest`() throws {
        let asker = try Asker([("few", 10, 60), ("many", 105, 60), ("day", 10, 86_400)])
        for _ in 0..<18 { try asker.ask("many", cost: 5) }
        try asker.ask("few", "many", cost: 5)
        #expect(asker.closest.map { "\($0.name) \($0.remaining)" } == "many 10")
        for name in ["few", "day"] { try asker.ask(name, cost: 5) }
        try asker.ask("few", "day", cost: 6)
        #expect(asker.closest.map { "\($0.name) \($0.isOver)" } == "day true")
    }

    @Test func `remembers a limit that is used up, but not for long where the request was counted by others`() throws {
        let asker = try Asker([("minute", 1, 60), ("other", 5, 60)])
        try asker.ask("minute")
        try asker.ask("minute", "other")
        let key = try #require(asker.counter.asked.first)
        #expect(asker.counter.refused == [key: now + 1_000])
        #expect(asker.counter.counts.values.sorted() == [0, 1], "denied by one, charged to none")
        try asker.ask("minute")
        #expect(asker.counter.refused == [key: now + 90_000])
    }

    @Test func `judges an answer that took time at the moment of the request`() throws {
        let asker = try Asker([("minute", 1, 60)])
        asker.counter.answersAtOnce = false
        try asker.ask("minute")
        let question = try #require(asker.counter.waiting.first)
        question.receiver.counted(ticket: question.ticket, .knownOver(untilUnixMilliseconds: now + 20_000))
        #expect(asker.closest?.retryAfterSeconds == 20)
    }

    @Test func `waits for each answer, though one comes twice`() throws {
        let asker = try Asker([("minute", 1, 60), ("other", 5, 60)])
        asker.counter.answersAtOnce = false
        try asker.ask("minute", "other")
        let question = try #require(asker.counter.waiting.first)
        for _ in 0..<2 { question.receiver.counted(ticket: question.ticket, .unavailable(.allow)) }
        #expect(asker.outcomes.isEmpty)
        asker.counter.answer(1)
        #expect(asker.outcomes.count == 1)
    }
}
