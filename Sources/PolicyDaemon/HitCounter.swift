import Counters
import Policy

/// Where hits are counted: a store, or a test's stand-in. See `CounterStore` for the contract.
protocol HitCounter: AnyObject {
    func hit(
        key: Span<UInt8>, quota: Quota, cost: Int, nowUnixMilliseconds: Int64, receiver: any CountReceiver, ticket: UInt64
    ) -> CountOutcome

    func giveBack(key: Span<UInt8>, quota: Quota, cost: Int, _ receipt: HitReceipt, overUntilUnixMilliseconds: Int64?)

    func revocation(of key: Span<UInt8>, receiver: any CountReceiver, ticket: UInt64) -> RevocationOutcome
}

extension CounterStore: HitCounter {}

/// For how long a key is taken to be over its limit that others may give hits of back.
private let doubtfulMilliseconds: Int64 = 1_000

extension HitCounter {
    /// Gives back a hit that its own limit refuses.
    ///
    /// - Parameters:
    ///   - status: what the limit says to it.
    ///   - isAlone: whether it is the only hit of its request.
    func giveBack(
        refused key: Span<UInt8>, quota: Quota, cost: Int, _ receipt: HitReceipt, _ status: LimitStatus, isAlone: Bool
    ) {
        // Where other limits may refuse the request as well, what this one has counted may be about to be given back.
        let longest = isAlone ? Int64.max : receipt.unixMilliseconds + doubtfulMilliseconds
        giveBack(
            key: key, quota: quota, cost: cost, receipt, overUntilUnixMilliseconds: min(status.retryAtUnixMilliseconds, longest))
    }
}
