import Bytes
import Counters
import EnvoyProtocol
import JSONWebToken
import Policy

/// What Envoy's rate limit filter may ask about: for each domain, which descriptors are counted by which limit.
public struct RateLimitRules: Sendable {
    /// One way to count.
    public struct Rule: Sendable {
        /// The name that clients are told.
        public let name: String
        /// What a descriptor must have, in this order: keys, and for some of them the one value that matches.
        public let entries: [(key: [UInt8], value: [UInt8]?)]
        public let quota: Quota
        /// Counts and reports, and never denies.
        public let isShadow: Bool
    }

    /// By the domain's name.
    public var domains: [[UInt8]: [Rule]] = [:]

    public init() {}

    /// The rule of a descriptor: of those that match, the one that demands the most values. Nil where nothing limits it.
    func rule(for descriptor: RateLimitRequest.Descriptor, in domain: Span<UInt8>, _ bytes: Span<UInt8>) -> Rule? {
        var best: Rule?
        for rule in domains[domain.array] ?? [] where rule.matches(descriptor, bytes) {
            if let found = best, found.valueCount >= rule.valueCount { continue }
            best = rule
        }
        return best
    }
}

extension RateLimitRules.Rule {
    fileprivate var valueCount: Int { entries.count { $0.value != nil } }

    fileprivate func matches(_ descriptor: RateLimitRequest.Descriptor, _ bytes: Span<UInt8>) -> Bool {
        guard entries.count == descriptor.entries.count else { return false }
        for index in entries.indices {
            let (wanted, entry) = (entries[index], descriptor.entries[index])
            guard bytes.extracting(entry.key).equals(wanted.key.span) else { return false }
            if let value = wanted.value, !bytes.extracting(entry.value).equals(value.span) { return false }
        }
        return true
    }

    /// What a descriptor is counted by: each part with its length before it, so that no two descriptors share a key.
    fileprivate func key(of descriptor: RateLimitRequest.Descriptor, in domain: Span<UInt8>, _ bytes: Span<UInt8>) -> [UInt8] {
        let buffer = ByteBuffer(capacity: 128)
        buffer.append("envoy:")
        buffer.append(lengthPrefixed: domain)
        buffer.append(lengthPrefixed: Array(name.utf8).span)
        for entry in descriptor.entries { buffer.append(lengthPrefixed: bytes.extracting(entry.value)) }
        return buffer.bytes.array
    }
}

extension ByteBuffer {
    fileprivate func append(lengthPrefixed text: Span<UInt8>) {
        append(decimal: text.count)
        append(UInt8(ascii: "="))
        append(text)
        append(UInt8(ascii: ":"))
    }
}

/// Envoy's rate limit service: one worker's side of it. A request that one limit denies is charged to none.
final class RateLimitService: RateLimitJudge, CountReceiver {
    private struct Hit {
        let place: Int
        let rule: RateLimitRules.Rule
        let key: [UInt8]
        let cost: Int
        var isAnswered = false
        var status: LimitStatus?
        var receipt: HitReceipt?
    }

    private struct Request {
        let receiver: any RateLimitReceiver
        let ticket: UInt64
        let descriptorCount: Int
        let nowUnixMilliseconds: Int64
        var hits: [Hit] = []
        var awaited = 0
        var isUnavailable = false
    }

    /// Of a ticket: which of a request's hits it is, of which there are up to `RateLimitRequest.maximumCount`.
    private static let indexBits: UInt64 = 8

    private let rules: RateLimitRules
    private let counters: any HitCounter
    private var waiting: [UInt64: Request] = [:]
    private var nextID: UInt64 = 0

    init(_ rules: RateLimitRules, counters: any HitCounter) {
        self.rules = rules
        self.counters = counters
    }

    func judge(
        _ request: RateLimitRequest, _ bytes: Span<UInt8>, nowUnixMilliseconds now: Int64, receiver: any RateLimitReceiver, ticket: UInt64
    ) {
        let domain = bytes.extracting(request.domain)
        var asked = Request(receiver: receiver, ticket: ticket, descriptorCount: request.descriptors.count, nowUnixMilliseconds: now)
        nextID &+= 1
        let id = nextID
        for (place, descriptor) in request.descriptors.enumerated() {
            guard let rule = rules.rule(for: descriptor, in: domain, bytes) else { continue }
            var key = rule.key(of: descriptor, in: domain, bytes)
            // By a digest, so that no client fills the store. Not refused as unavailable: a client would choose that by a long header,
            // and Envoy may let such a request pass.
            if key.count > RuleLimits.limitKeyBytes { key = SHA256Digest(of: key.span).hexadecimal }
            let hit = Hit(place: place, rule: rule, key: key, cost: Int(min(descriptor.hits, UInt64(Int32.max))))
            asked.hits.append(hit)
        }
        for index in asked.hits.indices {
            let hit = asked.hits[index]
            let outcome = counters.hit(
                key: hit.key.span, quota: hit.rule.quota, cost: hit.cost, nowUnixMilliseconds: now, receiver: self,
                ticket: id << Self.indexBits | UInt64(index))
            switch outcome {
            case .done(let result): note(result, at: index, in: &asked)
            case .pending: asked.awaited += 1
            }
        }
        if asked.awaited == 0 { answer(asked) } else { waiting[id] = asked }
    }

    func counted(ticket: UInt64, _ result: CountResult) {
        let (id, index) = (ticket >> Self.indexBits, Int(ticket & (1 << Self.indexBits - 1)))
        guard var asked = waiting[id], index < asked.hits.count, !asked.hits[index].isAnswered else { return }
        note(result, at: index, in: &asked)
        asked.awaited -= 1
        waiting[id] = asked.awaited == 0 ? nil : asked
        if asked.awaited == 0 { answer(asked) }
    }

    /// Nothing is looked up here.
    func lookedUp(ticket: UInt64, _ result: RevocationResult) {}

    private func note(_ result: CountResult, at index: Int, in asked: inout Request) {
        let hit = asked.hits[index]
        asked.hits[index].isAnswered = true
        switch result {
        case .counted(let state, let receipt):
            let status = hit.rule.quota.judge(state, cost: hit.cost, nowUnixMilliseconds: receipt.unixMilliseconds)
            asked.hits[index].status = status
            if status.isAdmitted {
                asked.hits[index].receipt = receipt
            } else if hit.cost > 0 {
                counters.giveBack(
                    refused: hit.key.span, quota: hit.rule.quota, cost: hit.cost, receipt, status, isAlone: asked.hits.count == 1)
            }
        case .knownOver(let until):
            asked.hits[index].status = hit.rule.quota.refusal(
                untilUnixMilliseconds: until, nowUnixMilliseconds: asked.nowUnixMilliseconds)
        case .unavailable(.allow): break
        case .unavailable: if !hit.rule.isShadow { asked.isUnavailable = true }
        }
    }

    private func answer(_ asked: Request) {
        let isDenied = asked.isUnavailable || asked.hits.contains { !($0.status?.isAdmitted ?? true) && !$0.rule.isShadow }
        if isDenied {
            for hit in asked.hits {
                guard let receipt = hit.receipt, hit.cost > 0 else { continue }
                counters.giveBack(key: hit.key.span, quota: hit.rule.quota, cost: hit.cost, receipt, overUntilUnixMilliseconds: nil)
            }
        }
        guard !asked.isUnavailable else { return asked.receiver.limited(.unavailable, ticket: asked.ticket) }
        var findings = [LimitFinding?](repeating: nil, count: asked.descriptorCount)
        var closest: (place: Int, status: LimitStatus)?
        for hit in asked.hits where !hit.rule.isShadow {
            guard let status = hit.status else { continue }
            if closest.map({ status.isCloser(than: $0.status) }) ?? true { closest = (hit.place, status) }
            findings[hit.place] = LimitFinding(
                name: hit.rule.name, isOver: !status.isAdmitted, limit: status.limit,
                windowSeconds: hit.rule.quota.window.lengthSeconds, remaining: status.remaining,
                resetUnixSeconds: status.resetUnixSeconds, retryAfterSeconds: status.retryAfterSeconds)
        }
        asked.receiver.limited(.judged(findings, closest: closest.flatMap { findings[$0.place] }), ticket: asked.ticket)
    }
}
