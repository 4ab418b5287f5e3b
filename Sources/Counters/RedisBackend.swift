import EventLoop
import Logging
import Synchronization
import TLS

/// One Redis or Valkey, or a cluster of them, as all stores of a process share it: where it is, and what stands in for it.
///
/// What its loss may cost, with ``FailureMode/local``: each process admits a key's limit at most once more in a window, and
/// less by what it had seen counted before. After a failover the new master goes on from what had been replicated to it, so
/// what the old one had counted and not yet sent (replication is asynchronous) is admitted again on top. Nodes of a cluster
/// that were there all the time admit nothing twice.
public final class RedisBackend: Sendable {
    /// The limits of a store's waits and queues, but for those of one exchange with Redis, which stand where it is written.
    struct Limits: Sendable {
        /// How long a hit may wait for its count.
        var deadlineMilliseconds: Int64 = 50
        /// After so many late counts in a row Redis counts as down, until it answers a PING in time.
        var lateCountsUntilDown = 3
        /// The pause after a PING that was answered late.
        var probeMilliseconds: Int64 = 100
        /// How long a connection is kept on which nothing is answered.
        var silenceMilliseconds: Int64 = 2_000
        /// How long connecting, and then the handshake, may take.
        var handshakeMilliseconds: Int64 = 1_000
        /// The pause before connecting again: it doubles from the first to the second.
        var reconnectMilliseconds: ClosedRange<Int64> = 20...1000
        /// How often Redis is asked for its time.
        var clockMilliseconds: Int64 = 30_000
        /// The pauses before a cluster's map is asked for again: the first, or up to twice that, where something has changed; else
        /// the second, or as little as half of that. The second is also how often sentinels are asked whether the master is
        /// still the same.
        var relearnMilliseconds: ClosedRange<Int64> = 500...30_000
        /// How many hits may wait for their counts.
        var maximumWaiting = 65_536
        /// How many commands may be unanswered.
        var maximumUnanswered = 131_072
        /// How many bytes Redis may be behind in reading before it is asked no more.
        var maximumUnsentBytes = 8 * 1024 * 1024
        /// How many keys a store remembers the counts of.
        var rememberedKeys = 131_072
    }

    public let address: RedisAddress
    public let onFailure: FailureMode
    let limits: Limits
    let fallback: MemoryCounters
    /// This machine's clock, by which callers say when a hit is made; milliseconds since 1970.
    let unixClock: @Sendable () -> Int64
    let access: (servers: RedisAccess, sentinels: RedisAccess)
    /// How many stores can't count in a place now.
    private let storesOut = Mutex<[String: Int]>([:])

    /// - Parameters:
    ///   - deadlineMilliseconds: how long a hit may wait for its count.
    ///   - fallback: where hits are counted while Redis can't be asked, if `onFailure` is ``FailureMode/local``.
    /// - Throws: what is wrong with the files that TLS needs.
    public convenience init(
        _ address: RedisAddress, deadlineMilliseconds: Int64 = 50, onFailure: FailureMode, fallback: MemoryCounters
    ) throws(TLSFailure) {
        var limits = Limits()
        limits.deadlineMilliseconds = deadlineMilliseconds
        try self.init(address, limits, onFailure: onFailure, fallback: fallback)
    }

    init(
        _ address: RedisAddress, _ limits: Limits, onFailure: FailureMode, fallback: MemoryCounters,
        unixClock: @escaping @Sendable () -> Int64 = Clock.unixMilliseconds
    ) throws(TLSFailure) {
        access = try address.access()
        self.address = address
        self.limits = limits
        self.onFailure = onFailure
        self.fallback = fallback
        self.unixClock = unixClock
    }

    /// Whether every store can count in all places.
    var isUp: Bool { storesOut.withLock { $0.isEmpty } }

    /// Said once an outage of a place, not by each store of the process, and not at each try.
    func isOut(_ name: String, because reason: String, _ logger: Logger) {
        guard storesOut.withLock({ stores in stores[name, default: 0] += 1; return stores[name] == 1 }) else { return }
        let consequence = switch onFailure {
        case .local: "counting in memory"
        case .deny: "denying every counted request"
        case .allow: "allowing requests uncounted"
        }
        logger.warning("Redis at \(name) is lost (\(reason)): \(consequence) until it answers again")
    }

    /// - Parameter words: what is to be said of it.
    func isBack(_ name: String, _ words: String, _ logger: Logger) {
        let isLast = storesOut.withLock { stores in
            let rest = (stores[name] ?? 1) - 1
            stores[name] = rest > 0 ? rest : nil
            return rest <= 0
        }
        if isLast { logger.notice("Redis at \(name) \(words)") }
    }
}
