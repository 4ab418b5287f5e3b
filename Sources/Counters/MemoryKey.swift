import Policy

/// What was counted in memory for one key, in the way of the quota that it comes with.
final class MemoryKey: KeyEntry {
    /// In which of the ways below it is counted.
    private enum Way { case none, windows, log, bucket }

    /// How many of a log's slots take as much memory as a key.
    private static let slotsInWeight = 12

    let key: [UInt8]
    private(set) var mattersUntil = Int64.max
    private(set) var weight = 1
    private var way = Way.none
    // Side by side, rather than in the cases of an enum: a hit then changes them where they are.
    private var windows = RecentWindows(newest: 0)
    private var bucket = TokenBucket()
    private var log = SlidingLog()

    init(_ key: [UInt8]) { self.key = key }

    func hit(
        _ quota: Quota, _ cost: Int, _ now: Int64, _ floor: LimitState?
    ) -> (state: LimitState, charge: HitReceipt.Charge) {
        switch quota.algorithm {
        case .slidingWindow, .fixedWindow:
            let number = quota.window.number(atMilliseconds: now)
            if way != .windows {
                begin(.windows)
                windows = RecentWindows(newest: number)
            }
            let seen = windows.hit(number, cost: cost, startingFrom: floor?.windows ?? WindowCounts(current: 0, previous: 0))
            mattersUntil = quota.window.end(of: quota.algorithm == .slidingWindow ? number + 1 : number) * 1000
            return (.windows(seen), cost > 0 ? .window(number) : .nothing)
        case .tokenBucket:
            if way != .bucket { begin(.bucket) }
            if case .bucket(let floor) = floor { bucket = .emptier(bucket, floor) }
            let (isAdmitted, found) = bucket.hit(quota, cost: cost, nowUnixMilliseconds: now)
            mattersUntil = bucket.refilledAtUnixMilliseconds
            let isCharged = isAdmitted && cost > 0
            return (.bucket(found), isCharged ? .bucket(refilledAtUnixMilliseconds: mattersUntil) : .nothing)
        case .slidingLog:
            if way != .log { begin(.log) }
            if case .log(let floor) = floor { log.raise(to: floor, quota, nowUnixMilliseconds: now) }
            let (isAdmitted, found) = log.hit(quota, cost: cost, nowUnixMilliseconds: now)
            mattersUntil = log.newestUnixMilliseconds + Int64(quota.window.lengthSeconds) * 1000
            weight = 1 + log.slotCount / Self.slotsInWeight
            return (.log(found), isAdmitted && cost > 0 ? .log(id: 0) : .nothing)
        }
    }

    func giveBack(_ quota: Quota, _ cost: Int, _ receipt: HitReceipt, _ now: Int64) {
        switch (receipt.charge, way) {
        case (.window(let number), .windows): windows.giveBack(number, cost: cost)
        case (.bucket(let refilledAt), .bucket):
            bucket.giveBack(quota, cost: cost, refilledAtUnixMilliseconds: refilledAt, nowUnixMilliseconds: now)
        case (.log, .log): log.giveBack(cost: cost, unixMilliseconds: receipt.unixMilliseconds)
        // The quota counts in another way since.
        default: break
        }
    }

    /// Starts anew, in another way than before.
    private func begin(_ way: Way) {
        self.way = way
        bucket = TokenBucket()
        log = SlidingLog()
        weight = 1
    }
}

extension LimitState {
    fileprivate var windows: WindowCounts? { if case .windows(let counts) = self { counts } else { nil } }
}
