import EventLoop
import Logging
import Policy

/// Where one worker counts hits: in memory, or in a Redis that all daemons share.
///
/// Belongs to its loop: it is made for one, and called there only, its async methods by tasks that prefer the loop as their
/// executor.
public final class CounterStore {
    public enum Kind: Sendable {
        /// All workers of the process are given the same counters.
        case memory(MemoryCounters)
        /// All workers of the process are given the same backend.
        case redis(RedisBackend)
    }

    private enum Place {
        case memory(MemoryCounters)
        case redis(RedisCounters)
    }

    private let place: Place

    /// - Parameter logger: told once when Redis is lost, and once when it is back.
    public init(_ kind: Kind, loop: EventLoop, logger: Logger) {
        switch kind {
        case .memory(let counters): place = .memory(counters)
        case .redis(let backend): place = .redis(RedisCounters(backend, loop: loop, logger: logger))
        }
    }

    /// Makes the first attempt to connect to Redis, whatever comes of it: no longer than a second each for finding it,
    /// connecting, and the handshake. Await it before the first hit, which would else be counted without Redis.
    public func connect() async {
        if case .redis(let counters) = place { await counters.connect() }
    }

    /// Keeps the connection to Redis until ``stop()``, and connects again where it is lost. Run it as a task of the loop.
    public func maintain() async {
        if case .redis(let counters) = place { await counters.maintain() }
    }

    /// Ends ``maintain()``, once Redis has answered what it was sent or its deadline has passed.
    public func stop() {
        if case .redis(let counters) = place { counters.stop() }
    }

    /// Counts one hit.
    ///
    /// - Parameters:
    ///   - keyPrefix: what the hit is counted for, with a separator at its end. The number of the window is appended to it.
    ///     One prefix always comes with the same window length.
    ///   - nowUnixMilliseconds: the moment of the hit, which says what window it falls into.
    ///   - receiver: who is told the count, with `ticket`, where this returns `pending`. Never called before this returns.
    public func hit(
        keyPrefix: Span<UInt8>, window: Window, nowUnixMilliseconds: Int64, receiver: any CountReceiver, ticket: UInt64
    ) -> CountOutcome {
        switch place {
        case .memory(let counters):
            let (counts, number) = counters.hit(keyPrefix, window: window, nowUnixMilliseconds: nowUnixMilliseconds)
            return .done(.counted(counts, number: number, isFallback: false))
        case .redis(let counters):
            return counters.hit(keyPrefix, window, nowUnixMilliseconds, WaitingHit(receiver: receiver, ticket: ticket))
        }
    }

    /// Gives back a hit that was refused, so that it doesn't count.
    ///
    /// What was counted in Redis can't be given back while Redis is lost: such a hit stays counted.
    ///
    /// - Parameters:
    ///   - number: the window it was counted in, as its ``CountResult`` says.
    ///   - isFallback: whether it was counted in memory for want of Redis, as its ``CountResult`` says.
    public func giveBack(keyPrefix: Span<UInt8>, window: Window, number: Int64, isFallback: Bool) {
        switch place {
        case .memory(let counters): counters.giveBack(keyPrefix, number: number)
        case .redis(let counters): counters.giveBack(keyPrefix, window, number, isFallback: isFallback)
        }
    }
}
