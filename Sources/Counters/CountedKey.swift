import Policy

/// What one store knows of one key in Redis: the counts last seen, and what has been asked of Redis for it.
final class CountedKey: KeyEntry {
    /// How long after a window's start the one before may still change: hits on their way, give-backs, clocks that differ.
    private static let settlingMilliseconds: Int64 = 2_000

    /// The caller's prefix; the key is this and the window's number.
    let key: [UInt8]

    /// The newest window that was asked for.
    private var number: Int64
    private var counts = WindowCounts(current: 0, previous: 0)
    /// Over which connection window `number`'s key was made sure to expire.
    private var birthEpoch = 0
    /// Over which connection the previous window's count was read after it had settled.
    private var settledEpoch = 0
    private var newestKey: WindowKey
    /// Which batch of its connection had hits of this key last.
    var latestBatch = -1

    init(key: [UInt8], number: Int64) {
        self.key = key
        self.number = number
        newestKey = WindowKey(key, number)
    }

    /// The key in Redis of a window.
    func windowKey(_ number: Int64) -> WindowKey { number == self.number ? newestKey : WindowKey(key, number) }

    /// The counts last seen, as window `number` sees them: where counting in memory starts.
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
            newestKey = WindowKey(key, number)
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
