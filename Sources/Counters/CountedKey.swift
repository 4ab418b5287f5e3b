import Policy

/// What one store knows of one key in Redis: the counts last seen, and what has been asked of Redis for it.
final class CountedKey: KeyEntry {
    /// How long after a window's start the one before may still change: hits on their way, give-backs, clocks that differ.
    private static let settlingMilliseconds: Int64 = 2_000

    /// The caller's.
    let key: [UInt8]
    /// What it is called in Redis begins with this.
    private let prefix: [UInt8]
    /// Where in a cluster its keys are; 0 where there is none.
    let slot: Int

    let weight = 1
    private(set) var mattersUntil: Int64
    /// No hit that costs as much as this, or more, has room before ``overUntil``.
    private var overCost = 0
    private var overUntil: Int64 = 0

    /// The newest window that was asked for.
    private var number: Int64 = -1
    private var counts = WindowCounts(current: 0, previous: 0)
    /// Over which connection window `number`'s key was made sure to expire.
    private var birthEpoch = 0
    /// Over which connection the previous window's count was read after it had settled.
    private var settledEpoch = 0
    private var newestKey: CounterKey?
    /// Which batch of its connection had hits of this key last.
    var latestBatch = -1

    /// - Parameter mattersUntil: from when on it is of no use if it isn't asked for again; milliseconds since 1970.
    init(key: [UInt8], mattersUntil: Int64, isInCluster: Bool = false) {
        self.key = key
        prefix = isInCluster ? RedisSlot.tagged(key) : key
        slot = isInCluster ? RedisSlot.of(prefix) : 0
        self.mattersUntil = mattersUntil
    }

    func willMatter(until time: Int64) { mattersUntil = max(mattersUntil, time) }

    // MARK: Late answers

    /// How many batches were answered without Redis, and not by Redis yet.
    private var lateBatches = 0
    /// What hits of them cost that Redis is not to keep.
    private var refusedLate = 0

    func batchIsLate() { lateBatches += 1 }

    func refuseLate(_ cost: Int) { if lateBatches > 0 { refusedLate += cost } }

    /// A late batch is settled after all, or lost: what its hits, which cost so much, are not to keep of it.
    @discardableResult func takeRefusedLate(upTo cost: Int) -> Int {
        let refused = min(refusedLate, cost)
        lateBatches -= 1
        refusedLate = lateBatches > 0 ? refusedLate - refused : 0
        return refused
    }

    // MARK: Known to be over

    /// Until when there is no room for a hit of this cost; nil where that isn't known.
    func knownOver(_ cost: Int, now: Int64) -> Int64? { cost >= overCost && now < overUntil ? overUntil : nil }

    func note(overUntil time: Int64, cost: Int) { (overUntil, overCost) = (time, cost) }

    /// A hit that counted doesn't any more.
    func hasRoomAgain() { overUntil = 0 }

    // MARK: Buckets and logs

    private(set) lazy var bucketKey = CounterKey(bucket: prefix)
    private(set) lazy var logKey = CounterKey(log: prefix)
    /// That of a bucket or a log, last seen.
    private var state: LimitState?

    func note(_ state: LimitState) { self.state = state }

    /// What was last seen: where counting in memory starts.
    func seen(_ quota: Quota, now: Int64) -> LimitState? {
        switch quota.algorithm {
        case .slidingWindow, .fixedWindow: .windows(seen(from: quota.window.number(atMilliseconds: now)))
        case .slidingLog, .tokenBucket: state
        }
    }

    // MARK: Lookups

    /// As the caller has it.
    private(set) lazy var plainKey = CounterKey(key)
    /// Where in a cluster that is.
    private(set) lazy var plainSlot = RedisSlot.of(key)

    // MARK: Windows

    /// The key in Redis of a window.
    func windowKey(_ number: Int64) -> CounterKey {
        if number == self.number, let newestKey { return newestKey }
        return CounterKey(prefix, window: number)
    }

    /// The counts last seen, as window `number` sees them.
    func seen(from number: Int64) -> WindowCounts {
        switch number &- self.number {
        case 0: counts
        case 1: WindowCounts(current: 0, previous: counts.current)
        case -1: WindowCounts(current: counts.previous, previous: 0)
        default: WindowCounts(current: 0, previous: 0)
        }
    }

    /// Begins to ask for window `number` over connection `epoch`: says what must be asked besides counting.
    func ask(_ number: Int64, epoch: Int) -> (birth: Bool, previous: Int?) {
        if number > self.number {
            counts = seen(from: number)
            self.number = number
            newestKey = CounterKey(prefix, window: number)
            birthEpoch = 0
            settledEpoch = 0
        }
        // The one before is asked for so seldom that nothing is remembered of it.
        guard number == self.number else { return (true, nil) }
        defer { birthEpoch = epoch }
        return (birthEpoch != epoch, settledEpoch == epoch ? counts.previous : nil)
    }

    func note(_ number: Int64, current: Int) {
        if number == self.number { counts.current = max(current, 0) }
    }

    func note(_ number: Int64, previous: Int, window: Window, askedAtUnixMilliseconds time: Int64, epoch: Int) {
        guard number == self.number else { return }
        counts.previous = max(previous, 0)
        let start = (window.end(of: number) - Int64(window.lengthSeconds)) * 1000
        if time - start >= Self.settlingMilliseconds { settledEpoch = epoch }
    }
}
