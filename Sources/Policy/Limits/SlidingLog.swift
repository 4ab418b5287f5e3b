/// What a sliding log tells of a key as a hit arrives.
public struct LogView: Sendable, Hashable {
    /// What the hits in view cost, this one not included.
    public var used: Int
    /// When the last of them was, in milliseconds since 1970.
    public var newestUnixMilliseconds: Int64
    /// Where there is no room for the hit: when so many of them will be out of view that there is.
    public var roomAtUnixMilliseconds: Int64

    /// Of an empty log.
    public init() { self.init(used: 0, newestUnixMilliseconds: 0, roomAtUnixMilliseconds: 0) }

    public init(used: Int, newestUnixMilliseconds: Int64, roomAtUnixMilliseconds: Int64) {
        self.used = used
        self.newestUnixMilliseconds = newestUnixMilliseconds
        self.roomAtUnixMilliseconds = roomAtUnixMilliseconds
    }
}

/// A limit that remembers every hit it admitted, with its moment: those of the last `length` milliseconds are in view.
///
/// Exact: in no stretch as long as the window do more than `count` pass. What one key takes is bounded by the quota's count.
public struct SlidingLog: Sendable {
    /// What was admitted in one millisecond.
    private struct Slot {
        let time: Int64
        var cost: Int
    }

    /// In the order of time, from `first` on; what stands before that is out of view.
    private var slots: [Slot] = []
    private var first = 0
    private var used = 0

    public init() {}

    /// How many moments it remembers.
    public var slotCount: Int { slots.count }
    /// When its last hit was, in milliseconds since 1970.
    public var newestUnixMilliseconds: Int64 { used > 0 ? slots[slots.count - 1].time : 0 }

    /// Remembers a hit, where there is room for it. A cost of 0 is not remembered.
    ///
    /// - Returns: whether there was room; and the log as the hit found it.
    public mutating func hit(_ quota: Quota, cost: Int, nowUnixMilliseconds: Int64) -> (isAdmitted: Bool, found: LogView) {
        let now = Quota.moment(nowUnixMilliseconds)
        forget(quota, now)
        var found = LogView(used: used, newestUnixMilliseconds: newestUnixMilliseconds, roomAtUnixMilliseconds: 0)
        let asked = max(cost, 1)
        guard asked <= quota.count, used <= quota.count - asked else {
            found.roomAtUnixMilliseconds = roomAt(quota, for: min(asked, quota.count))
            return (false, found)
        }
        if cost > 0 { add(cost, at: now) }
        return (true, found)
    }

    /// Forgets a hit again.
    ///
    /// - Parameter unixMilliseconds: when it was counted.
    public mutating func giveBack(cost: Int, unixMilliseconds: Int64) {
        let time = Quota.moment(unixMilliseconds)
        guard let index = slots[first...].lastIndex(where: { $0.time == time }) else { return }
        let taken = min(max(cost, 0), slots[index].cost)
        used -= taken
        slots[index].cost -= taken
        if slots[index].cost == 0 { slots.remove(at: index) }
    }

    /// Adds what is known to have been counted elsewhere, where that is more.
    public mutating func raise(to view: LogView, _ quota: Quota, nowUnixMilliseconds: Int64) {
        let now = Quota.moment(nowUnixMilliseconds)
        let newest = min(Quota.moment(view.newestUnixMilliseconds), now)
        let missing = min(max(view.used, 0), quota.count) - used
        if missing > 0, newest > now - quota.window.lengthMilliseconds { add(missing, at: newest) }
    }

    private mutating func add(_ cost: Int, at time: Int64) {
        used += cost
        // Two workers' hits may come some milliseconds out of order.
        var index = slots.count
        while index > first, slots[index - 1].time > time { index -= 1 }
        if index > first, slots[index - 1].time == time {
            slots[index - 1].cost += cost
        } else {
            slots.insert(Slot(time: time, cost: cost), at: index)
        }
    }

    /// Lets go of what is out of view.
    private mutating func forget(_ quota: Quota, _ now: Int64) {
        let length = quota.window.lengthMilliseconds
        // From so far ahead only a clock that was set back can be.
        if newestUnixMilliseconds > now + length { self = SlidingLog() }
        while first < slots.count, slots[first].time <= now - length {
            used -= slots[first].cost
            first += 1
        }
        // Moved down seldom enough that a hit costs the same however long the log is.
        if first * 2 >= slots.count {
            slots.removeFirst(first)
            first = 0
        }
    }

    private func roomAt(_ quota: Quota, for cost: Int) -> Int64 {
        var excess = used + cost - quota.count
        for slot in slots[first...] {
            excess -= slot.cost
            if excess <= 0 { return slot.time + quota.window.lengthMilliseconds }
        }
        return 0
    }

    static func judge(_ view: LogView, _ quota: Quota, cost: Int, now: Int64) -> LimitStatus {
        let length = quota.window.lengthMilliseconds
        let used = min(max(view.used, 0), quota.count)
        let asked = max(cost, 1)
        guard asked <= quota.count else { return quota.refusal(now: now) }
        let isAdmitted = used <= quota.count - asked
        let newest = isAdmitted && cost > 0 ? now : Quota.moment(view.newestUnixMilliseconds)
        return LimitStatus(
            limit: quota.count, remaining: quota.count - used - (isAdmitted ? max(cost, 0) : 0),
            resetUnixSeconds: (max(newest + length, now) + 999) / 1000,
            retryAt: isAdmitted ? nil : min(view.roomAtUnixMilliseconds, now + length), nowUnixMilliseconds: now)
    }
}
