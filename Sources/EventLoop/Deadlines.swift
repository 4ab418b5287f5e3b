/// The deadlines of all waiters of a loop, in one flat array.
///
/// A connection moves its deadline several times a request, and hardly one ever passes. So setting one is a plain store,
/// and it is the loop that pays, by sweeping the array when the earliest one it knew of is reached: 10,000 connections
/// are 80 KB to read, some microseconds, at most every ``resolutionMilliseconds``.
@safe final class Deadlines {
    static let none = Int64.max
    /// The least time between two sweeps, and so how late a deadline may be noticed at the most.
    static let resolutionMilliseconds: Int64 = 10

    private var times: UnsafeMutablePointer<Int64>
    private var waiters: UnsafeMutablePointer<Unmanaged<Waiter>?>
    private var capacity = 64
    /// Taken out while it is changed: an access that lasts would have every one checked at run time (SE-0176).
    private var free: [Int] = []
    private(set) var used = 0
    /// No deadline is earlier than this.
    private(set) var nextSweep = none

    init() {
        unsafe times = .allocate(capacity: capacity)
        unsafe waiters = .allocate(capacity: capacity)
    }

    deinit {
        unsafe times.deallocate()
        unsafe waiters.deallocate()
    }

    subscript(slot: Int) -> Int64 { unsafe times[slot] }

    func claim() -> Int {
        var free = exchange(&self.free, with: [])
        defer { self.free = free }
        if let slot = free.popLast() { return slot }
        if used == capacity { grow() }
        used += 1
        return used - 1
    }

    func attach(_ waiter: Waiter, at slot: Int) {
        unsafe (times + slot).initialize(to: Self.none)
        unsafe (waiters + slot).initialize(to: Unmanaged.passUnretained(waiter))
    }

    func release(_ slot: Int) {
        unsafe times[slot] = Self.none
        unsafe waiters[slot] = nil
        var free = exchange(&self.free, with: [])
        free.append(slot)
        self.free = free
    }

    func set(_ slot: Int, at time: Int64) {
        unsafe times[slot] = time
        if time < nextSweep { nextSweep = time }
    }

    /// Wakes every waiter whose deadline has passed, once: it stays due until the waiter sets another.
    func sweep(now: Int64) {
        guard nextSweep <= now else { return }
        var earliest = Self.none
        var due: [Int] = []
        for slot in 0..<used {
            let time = unsafe times[slot]
            if time > now {
                if time < earliest { earliest = time }
            } else if time != Self.passed {
                due.append(slot)
            }
        }
        nextSweep = earliest == Self.none ? Self.none : max(earliest, now + Self.resolutionMilliseconds)
        for slot in due {
            // Whoever was woken before may have set it anew, or let go of it.
            guard unsafe times[slot] <= now else { continue }
            unsafe times[slot] = Self.passed
            if let waiter = unsafe waiters[slot] { unsafe waiter.takeUnretainedValue().wake() }
        }
    }

    /// A deadline that was noticed: still due, and no reason to sweep again (see ``sweep(now:)``'s `earliest`).
    private static let passed = Int64.min

    /// Wakes every waiter there is: for a drain.
    func wakeAll() {
        for slot in 0..<used {
            if let waiter = unsafe waiters[slot] { unsafe waiter.takeUnretainedValue().wake() }
        }
    }

    private func grow() {
        let times = UnsafeMutablePointer<Int64>.allocate(capacity: capacity * 2)
        let waiters = UnsafeMutablePointer<Unmanaged<Waiter>?>.allocate(capacity: capacity * 2)
        unsafe times.moveInitialize(from: self.times, count: used)
        unsafe waiters.moveInitialize(from: self.waiters, count: used)
        unsafe self.times.deallocate()
        unsafe self.waiters.deallocate()
        unsafe self.times = times
        unsafe self.waiters = waiters
        capacity *= 2
    }
}
