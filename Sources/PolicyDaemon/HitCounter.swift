import Counters
import Policy

/// Where hits are counted: a store, or a test's stand-in. See `CounterStore` for the contract.
protocol HitCounter: AnyObject {
    func hit(
        keyPrefix: Span<UInt8>, window: Window, nowUnixMilliseconds: Int64, receiver: any CountReceiver, ticket: UInt64
    ) -> CountOutcome

    func giveBack(keyPrefix: Span<UInt8>, window: Window, number: Int64, isFallback: Bool)
}

extension CounterStore: HitCounter {}
