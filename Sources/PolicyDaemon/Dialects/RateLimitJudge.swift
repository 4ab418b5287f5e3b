import Bytes
import EnvoyProtocol

/// Who counts what Envoy's rate limit filter describes: the daemon's named limits.
protocol RateLimitJudge: AnyObject {
    /// Counts a request, or asks only where its hits are 0. Over one limit it is charged to none. The receiver gets exactly one
    /// outcome: before this returns, or later on the same loop.
    ///
    /// - Parameter bytes: where the ranges of `request` lie; lent for the call alone.
    func judge(
        _ request: RateLimitRequest, _ bytes: Span<UInt8>, nowUnixMilliseconds: Int64, receiver: any RateLimitReceiver, ticket: UInt64)
}

enum RateLimitOutcome: Sendable {
    /// One for each descriptor, in their order; nil for one that no limit applies to. And of them the one that is closest to exhaustion.
    case judged([LimitFinding?], closest: LimitFinding?)
    /// The counts can't be had: the asking proxy does what it does where it has no answer.
    case unavailable
}

protocol RateLimitReceiver: AnyObject {
    func limited(_ outcome: RateLimitOutcome, ticket: UInt64)
}
