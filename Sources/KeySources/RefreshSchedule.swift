/// When one source is to be looked at next, and whether that is under way. It has no clock: every moment is an argument, in
/// milliseconds of one monotonic clock.
struct RefreshSchedule: Sendable {
    private let unknownKeyIntervalMilliseconds: Int64
    private(set) var nextMilliseconds: Int64
    private var wishesHeardFrom = Int64.min
    private var isUnderWay = false
    private var isWished = false

    init(firstAt nextMilliseconds: Int64, unknownKeyIntervalSeconds: Int) {
        self.nextMilliseconds = nextMilliseconds
        unknownKeyIntervalMilliseconds = Int64(unknownKeyIntervalSeconds) * 1000
    }

    /// Whether keys may be about to arrive: a look is under way, or was asked for and begins at once.
    var isLooking: Bool { isUnderWay || isWished }

    /// When to begin; nil while a look is under way.
    var dueAtMilliseconds: Int64? { isUnderWay ? nil : nextMilliseconds }

    /// A key is asked for that isn't there: look now, unless that was done a moment ago.
    ///
    /// - Returns: whether a look became due by this. One that is under way may bring the key, so it stands for another.
    mutating func wish(atMilliseconds now: Int64) -> Bool {
        guard !isLooking, now >= wishesHeardFrom else { return false }
        wishesHeardFrom = now + unknownKeyIntervalMilliseconds
        nextMilliseconds = now
        isWished = true
        return true
    }

    mutating func begin() {
        isUnderWay = true
        isWished = false
    }

    mutating func end(nextAtMilliseconds: Int64) {
        isUnderWay = false
        nextMilliseconds = nextAtMilliseconds
    }
}
