import Bytes
import Policy
import PolicyProtocol

/// The decision point as the foreign dialects see it: their verdicts are those of our own protocol, put into other words.
final class PolicyJudge: Judge, DecisionReceiver {
    private struct Waiting {
        let receiver: any VerdictReceiver
        let ticket: UInt64
        let nowUnixMilliseconds: Int64
    }

    private let point: GreetedDecisionPoint
    private var waiting: [UInt64: Waiting] = [:]
    private var nextTicket: UInt64 = 0
    private let scratch = ByteBuffer(capacity: 4096)

    /// Whether upstreams are told something by a header by which clients are told of their limits.
    private let ownsLimits: Bool

    init(_ point: GreetedDecisionPoint) {
        self.point = point
        ownsLimits = point.decisions.rules.ownedHeaders.contains { LimitFields.isName($0.utf8Span.span) }
    }

    func noteRefused() { point.decisions.noteMalformed() }

    var ownedHeaders: [String] { point.decisions.rules.ownedHeaders }
    var wantedHeaders: [String] { point.decisions.rules.wantedHeaders }

    func judge(
        _ request: consuming RequestParts, _ bytes: Span<UInt8>, nowUnixMilliseconds now: Int64, receiver: any VerdictReceiver, ticket: UInt64
    ) {
        nextTicket &+= 1
        let caller = Waiting(receiver: receiver, ticket: ticket, nowUnixMilliseconds: now)
        let decision = point.decisions.judge(
            RequestView(request, in: bytes), nowUnixMilliseconds: now, receiver: self, ticket: nextTicket)
        if let decision { deliver(decision, to: caller) } else { waiting[nextTicket] = caller }
    }

    func decided(_ decision: Policy.Decision, ticket: UInt64) {
        guard let caller = waiting.removeValue(forKey: ticket) else { return }
        deliver(decision, to: caller)
    }

    private func deliver(_ decision: Policy.Decision, to caller: Waiting) {
        if !ownsLimits, let allow = RepeatedAllow(decision, nowUnixMilliseconds: caller.nowUnixMilliseconds),
            caller.receiver.allowed(allow, ticket: caller.ticket)
        { return }
        let scratch = self.scratch
        for decision in [decision, PolicyRules.nothing.internalFailure] {
            scratch.clear()
            scratch.append(
                verdictOn: 0, decision, nowUnixMilliseconds: caller.nowUnixMilliseconds,
                maximumFrameBytes: ProtocolLimits.frameBytes.upperBound)
            let payload = scratch.bytes.extracting(FrameHeader.byteCount..<scratch.count)
            // What our own clients would refuse as malformed is no verdict here either.
            if let message = try? VerdictMessage.parse(payload) { return caller.receiver.verdict(payload, message, ticket: caller.ticket) }
        }
        preconditionFailure("a denial that cannot be read")
    }
}
