import EventLoop
import Logging
import Policy

/// Where one worker counts hits: in memory, or in a Redis that all daemons share.
///
/// Belongs to its loop: it is made for one, and called there only, its async methods by tasks that prefer the loop as their
/// executor.
public final class CounterStore {
    public enum Kind: Sendable, Equatable {
        /// All workers of the process are given the same counters.
        case memory(MemoryCounters)
        /// All workers of the process are given the same backend.
        case redis(RedisBackend)

        /// Whether they are the same counters, not only equal ones.
        public static func == (left: Kind, right: Kind) -> Bool {
            switch (left, right) {
            case (.memory(let left), .memory(let right)): left === right
            case (.redis(let left), .redis(let right)): left === right
            default: false
            }
        }

        /// Whether every worker can count there.
        public var isUp: Bool {
            if case .redis(let backend) = self { backend.isUp } else { true }
        }
    }

    private enum Place {
        case memory(MemoryCounters)
        case redis(RedisCounters)
    }

    private let place: Place
    /// The time, as the last caller gave it.
    private var latestUnixMilliseconds: Int64 = 0

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
    ///   - key: what the hit is counted for, with a separator at its end: in Redis the number of the window is appended to
    ///     it, or a letter. One key always comes with the same quota, until the configuration changes.
    ///   - cost: what the hit counts for. One that costs more than there ever is is not counted. 0 asks whether one of cost 1
    ///     would be admitted, and counts nothing: in memory that is exact, of Redis only what is known here, without asking it.
    ///   - nowUnixMilliseconds: the moment of the hit.
    ///   - receiver: who is told the count, with `ticket`, where this returns `pending`. Never called before this returns.
    public func hit(
        key: Span<UInt8>, quota: Quota, cost: Int, nowUnixMilliseconds now: Int64, receiver: any CountReceiver, ticket: UInt64
    ) -> CountOutcome {
        guard cost <= quota.burst else {
            return .done(.knownOver(untilUnixMilliseconds: now + Int64(quota.window.lengthSeconds) * 1000))
        }
        let cost = max(cost, 0)
        latestUnixMilliseconds = now
        switch place {
        case .memory(let counters):
            let (state, charge) = counters.hit(key, quota, cost: cost, nowUnixMilliseconds: now)
            return .done(.counted(state, HitReceipt(charge, unixMilliseconds: now)))
        case .redis(let counters):
            guard cost > 0 else { return .done(counters.look(key, quota, now)) }
            return counters.hit(key, quota, now, WaitingHit(receiver: receiver, ticket: ticket, cost: cost))
        }
    }

    /// How far the clock of Redis is ahead of this machine's, in milliseconds; 0 in memory. Windows follow that clock.
    public var clockOffsetMilliseconds: Int64 {
        if case .redis(let counters) = place { counters.clockOffsetMilliseconds } else { 0 }
    }

    /// Asks Redis whether something was revoked, in the same go as it is asked to count.
    ///
    /// - Parameters:
    ///   - key: its key in Redis, which holds the Unix time of the revocation in seconds. Nothing is appended to it.
    ///   - receiver: who is told, with `ticket`, where this returns `pending`. Never called before this returns.
    /// - Returns: `unavailable` in memory, where nobody can revoke anything.
    public func revocation(of key: Span<UInt8>, receiver: any CountReceiver, ticket: UInt64) -> RevocationOutcome {
        guard case .redis(let counters) = place else { return .done(.unavailable) }
        return counters.revocation(of: key, WaitingHit(receiver: receiver, ticket: ticket, cost: 0))
    }

    /// Gives back a hit of a request that was denied, so that it doesn't count.
    ///
    /// What was counted in Redis can't be given back while Redis is lost: such a hit stays counted.
    ///
    /// - Parameters:
    ///   - quota, cost: those it was counted with.
    ///   - receipt: that of the hit's ``CountResult``.
    ///   - overUntil: where its own limit refused the hit: from when on one of this cost could be admitted, as its
    ///     `LimitStatus` says. No such hit of this key is counted in Redis before, but answered from here. Nil where its own
    ///     limit had admitted it: then there is room again, whatever was known.
    public func giveBack(
        key: Span<UInt8>, quota: Quota, cost: Int, _ receipt: HitReceipt, overUntilUnixMilliseconds overUntil: Int64?
    ) {
        switch place {
        case .memory(let counters):
            counters.giveBack(key, quota, cost: cost, receipt, nowUnixMilliseconds: latestUnixMilliseconds)
        case .redis(let counters): counters.giveBack(key, quota, cost, receipt, overUntil: overUntil)
        }
    }
}
