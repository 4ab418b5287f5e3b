import Policy
import Synchronization

/// Counts in the memory of this process, shared by all of its workers.
///
/// Exact as long as no more keys are in use than fit: then the ones unused for longest are forgotten, and start again.
public final class MemoryCounters: Sendable {
    /// So many that workers seldom meet at one lock.
    private static let shardCount = 64

    private let shards: [Shard]

    /// - Parameter capacity: how many keys fit. One takes about 200 bytes.
    public init(capacity: Int) {
        shards = (0..<Self.shardCount).map { _ in Shard(capacity: (capacity + Self.shardCount - 1) / Self.shardCount) }
    }

    /// Counts one hit; returns the counts with it, and its window's number.
    ///
    /// - Parameters:
    ///   - key: what the hit is counted for. One key always comes with the same window length.
    ///   - floor: what is known to have been counted elsewhere before; the counts start from this.
    public func hit(
        _ key: Span<UInt8>, window: Window, nowUnixMilliseconds: Int64,
        startingFrom floor: WindowCounts = WindowCounts(current: 0, previous: 0)
    ) -> (counts: WindowCounts, number: Int64) {
        let number = window.number(atMilliseconds: nowUnixMilliseconds)
        let hash = KeyHash(key)
        let counts = shards[Self.shard(of: hash)].state.withLock { shard in
            shard.forgetUnused(window, nowUnixMilliseconds)
            return shard.entry(key, hash, number).windows.hit(number, startingFrom: floor)
        }
        return (counts, number)
    }

    /// Takes back one hit of window `number`.
    public func giveBack(_ key: Span<UInt8>, number: Int64) {
        let hash = KeyHash(key)
        shards[Self.shard(of: hash)].state.withLock { shard in
            shard.keys.find(key, hash: hash)?.windows.giveBack(number)
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

    private final class Entry: KeyEntry {
        let key: [UInt8]
        var windows: RecentWindows

        init(key: [UInt8], newest: Int64) {
            self.key = key
            windows = RecentWindows(newest: newest)
        }
    }

    private struct State {
        let keys: RecentKeys<Entry>
        private var longestWindowMilliseconds: Int64 = 0
        private var nextForgetting = Int64.min

        init(capacity: Int) { keys = RecentKeys(capacity: capacity) }

        func entry(_ key: Span<UInt8>, _ hash: KeyHash, _ number: Int64) -> Entry {
            if let entry = keys.find(key, hash: hash) { return entry }
            let entry = Entry(key: key.array, newest: number)
            keys.insert(entry, hash: hash)
            return entry
        }

        /// A hit matters to the end of the next window: what wasn't used for two windows no longer does.
        mutating func forgetUnused(_ window: Window, _ now: Int64) {
            longestWindowMilliseconds = max(longestWindowMilliseconds, Int64(window.lengthSeconds) * 1000)
            guard now >= nextForgetting else { return }
            if nextForgetting != .min { keys.forgetOld() }
            nextForgetting = now + 2 * longestWindowMilliseconds
        }
    }
}
