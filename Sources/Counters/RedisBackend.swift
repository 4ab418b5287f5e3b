import Logging
import Synchronization

/// One Redis, or Valkey, as all stores of a process share it: where it is, and what stands in for it.
public final class RedisBackend: Sendable {
    /// Every wait and every queue of a store has its limit here.
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
        /// How many hits may wait for their counts.
        var maximumWaiting = 65_536
        /// How many commands may be unanswered.
        var maximumUnanswered = 131_072
        /// How many bytes Redis may be behind in reading before it is asked no more.
        var maximumUnsentBytes = 8 * 1024 * 1024
        /// How many keys a store remembers the counts of.
        var rememberedKeys = 65_536
    }

    public let address: RedisAddress
    public let onFailure: FailureMode
    let limits: Limits
    let fallback: MemoryCounters
    /// How many stores can't ask Redis now.
    private let storesOut = Mutex(0)

    /// - Parameters:
    ///   - deadlineMilliseconds: how long a hit may wait for its count.
    ///   - fallback: where hits are counted while Redis can't be asked, if `onFailure` is ``FailureMode/local``.
    public convenience init(
        _ address: RedisAddress, deadlineMilliseconds: Int64 = 50, onFailure: FailureMode, fallback: MemoryCounters
    ) {
        var limits = Limits()
        limits.deadlineMilliseconds = deadlineMilliseconds
        self.init(address, limits, onFailure: onFailure, fallback: fallback)
    }

    init(_ address: RedisAddress, _ limits: Limits, onFailure: FailureMode, fallback: MemoryCounters) {
        self.address = address
        self.limits = limits
        self.onFailure = onFailure
        self.fallback = fallback
    }

    /// Said once an outage, not by each store of the process, and not at each try.
    func storeIsOut(because reason: String, _ logger: Logger) {
        guard storesOut.withLock({ stores in stores += 1; return stores == 1 }) else { return }
        let consequence = switch onFailure {
        case .local: "counting in memory"
        case .deny: "denying every counted request"
        case .allow: "allowing requests uncounted"
        }
        logger.warning("Redis at \(address.description) is lost (\(reason)): \(consequence) until it answers again")
    }

    func storeIsBack(_ logger: Logger) {
        guard storesOut.withLock({ stores in stores -= 1; return stores == 0 }) else { return }
        logger.notice("Redis at \(address.description) answers again: counting there")
    }
}
