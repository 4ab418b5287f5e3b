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
