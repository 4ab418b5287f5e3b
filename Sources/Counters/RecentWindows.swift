import Policy

/// What the hits of one key cost in its newest window and the two before.
///
/// Three, because two workers may see the turn from one window to the next some milliseconds apart: a hit that is counted
/// late in window `n` needs that of `n` − 1, also when another has begun `n` + 1 already.
struct RecentWindows: Equatable {
    private(set) var newest: Int64
    private var counts = (0, 0, 0)

    init(newest: Int64) { self.newest = newest }

    static func == (left: Self, right: Self) -> Bool { left.newest == right.newest && left.counts == right.counts }

    /// The counts as window `number` sees them.
    func seen(from number: Int64) -> WindowCounts {
        switch newest &- number {
        case 0: WindowCounts(current: counts.0, previous: counts.1)
        case 1: WindowCounts(current: counts.1, previous: counts.2)
        case 2: WindowCounts(current: counts.2, previous: 0)
        case -1: WindowCounts(current: 0, previous: counts.0)
        default: WindowCounts(current: 0, previous: 0)
        }
    }

    /// Counts one hit in window `number`, for what it costs; 0 looks only.
    ///
    /// - Parameter floor: what is known to have been counted elsewhere before; the counts are at least this.
    mutating func hit(_ number: Int64, cost: Int, startingFrom floor: WindowCounts) -> WindowCounts {
        advance(to: number)
        var seen = seen(from: number)
        seen.current = max(seen.current, floor.current) + cost
        seen.previous = max(seen.previous, floor.previous)
        set(number, seen.current)
        set(number - 1, seen.previous)
        return seen
    }

    /// Takes back a hit of window `number`, where that is still known.
    mutating func giveBack(_ number: Int64, cost: Int) {
        let current = seen(from: number).current
        if number <= newest, current > 0 { set(number, max(current - cost, 0)) }
    }

    private mutating func set(_ number: Int64, _ count: Int) {
        switch newest &- number {
        case 0: counts.0 = count
        case 1: counts.1 = count
        case 2: counts.2 = count
        default: break
        }
    }

    private mutating func advance(to number: Int64) {
        switch number &- newest {
        case -2, -1, 0: return
        case 1: counts = (0, counts.0, counts.1)
        case 2: counts = (0, 0, counts.0)
        // Long unused, or the clock was set back.
        default: counts = (0, 0, 0)
        }
        newest = number
    }
}
