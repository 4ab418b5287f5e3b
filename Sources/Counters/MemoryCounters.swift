import Policy
import Synchronization

/// Counts in the memory of this process, shared by all of its workers.
///
/// Exact as long as no more keys matter than fit: then the ones unused for longest are forgotten, and start again.
public final class MemoryCounters: Sendable {
    /// So many that workers seldom meet at one lock.
    private static let shardCount = 64

    private let shards: [Shard]

    /// - Parameter capacity: how many keys fit. One takes about 200 bytes; that of a sliding log as much again for each
    ///   dozen of hits that it remembers, and counts as so many keys.
    public init(capacity: Int) {
        shards = (0..<Self.shardCount).map { _ in Shard(capacity: (capacity + Self.shardCount - 1) / Self.shardCount) }
    }

    /// Counts one hit; returns what to judge it by, and where it was charged.
    ///
    /// - Parameters:
    ///   - key: what the hit is counted for. Where it comes with a quota that counts in another way, it starts anew.
    ///   - cost: from 0 to the quota's burst; 0 looks only.
    ///   - floor: what is known to have been counted elsewhere before; the counts start from this.
    public func hit(
        _ key: Span<UInt8>, _ quota: Quota, cost: Int, nowUnixMilliseconds now: Int64, startingFrom floor: LimitState? = nil
    ) -> (state: LimitState, charge: HitReceipt.Charge) {
        let hash = KeyHash(key)
        return shards[Self.shard(of: hash)].state.withLock { shard in
            let entry = shard.entry(key, hash, now)
            let weight = entry.weight
            let answer = entry.hit(quota, cost, now, floor)
            if entry.weight != weight { shard.keys.changeWeight(by: entry.weight - weight) }
            return answer
        }
    }

    /// Takes back one hit.
    ///
    /// - Parameters:
    ///   - quota, cost: those it was counted with.
    ///   - nowUnixMilliseconds: about when.
    public func giveBack(
        _ key: Span<UInt8>, _ quota: Quota, cost: Int, _ receipt: HitReceipt, nowUnixMilliseconds now: Int64
    ) {
        guard receipt.charge != .nothing else { return }
        let hash = KeyHash(key)
        shards[Self.shard(of: hash)].state.withLock { shard in
            shard.keys.find(key, hash: hash, now: now)?.giveBack(quota, cost, receipt, now)
        }
    }

    /// How many keys are held.
    public var count: Int { shards.reduce(0) { sum, shard in sum + shard.state.withLock { $0.keys.count } } }

    private static func shard(of hash: KeyHash) -> Int { Int(truncatingIfNeeded: hash.value >> 32) & (shardCount - 1) }
}

extension MemoryCounters {
    private final class Shard: Sendable {
        let state: Mutex<State>
        init(capacity: Int) { state = Mutex(State(capacity: capacity)) }
    }

    private struct State {
        let keys: RecentKeys<MemoryKey>

        init(capacity: Int) { keys = RecentKeys(capacity: capacity) }

        func entry(_ key: Span<UInt8>, _ hash: KeyHash, _ now: Int64) -> MemoryKey {
            if let entry = keys.find(key, hash: hash, now: now) { return entry }
            let entry = MemoryKey(key.array)
            keys.insert(entry, hash: hash, now: now)
            return entry
        }
    }
}
