/// What hits cost that were counted for one key in the window that a hit falls into, and in the one before.
public struct WindowCounts: Sendable, Hashable {
    /// The current window's, the hit being judged included.
    public var current: Int
    /// The window's before.
    public var previous: Int

    public init(current: Int, previous: Int) {
        self.current = current
        self.previous = previous
    }
}

/// A limit over a window that slides: the previous window's hits count by the share of it that is still in view.
///
///     estimate = previous × (length − elapsed) / length + current     admitted: estimate ≤ limit
///
/// As `current` and `limit` are whole numbers, the first term can be rounded up without changing any answer. So all of it is
/// done in integers, and no count is too large to be exact.
///
/// At the most 2 × limit − 1 pass in a stretch as long as the window: all of the limit at the end of a window with nothing
/// before it, and then each hit as soon as there is room for it.
enum SlidingWindow {
    /// Judges one hit.
    ///
    /// - Parameters:
    ///   - counts: with this hit in `current`. A negative count is none.
    ///   - limit: what hits may cost in a window. With 0 or less nothing is admitted.
    ///   - cost: what this hit counts for in `current`. 0 asks whether one of cost 1 would be admitted.
    ///   - nowUnixMilliseconds: the moment at which the hit was counted, so that its window is the one the counts are of.
    static func judge(
        _ counts: WindowCounts, limit: Int, window: Window, cost: Int = 1, nowUnixMilliseconds: Int64
    ) -> LimitStatus {
        let number = window.number(atMilliseconds: nowUnixMilliseconds)
        let now = max(nowUnixMilliseconds, 0)
        let moment = Moment(window, elapsedMilliseconds: now - number * window.lengthMilliseconds)
        let previous = max(counts.previous, 0)
        let room = max(limit, 0) - moment.inView(of: previous)
        let hit = WindowHit(counts, cost: cost)
        let isAdmitted = hit.asked <= limit && hit.others <= room - hit.asked
        return LimitStatus(
            limit: limit, remaining: hit.remaining(of: room, isAdmitted), resetUnixSeconds: window.end(of: number),
            retryAt: isAdmitted ? nil : now + moment.wait(hit, previous: previous, limit: limit), nowUnixMilliseconds: now)
    }
}

/// A hit beside the others of its window.
struct WindowHit {
    let others: Int
    let cost: Int
    /// What has to be free for it: a question that costs nothing asks for a hit of 1.
    var asked: Int { max(cost, 1) }

    init(_ counts: WindowCounts, cost: Int) {
        self.cost = max(cost, 0)
        others = max(max(counts.current, 0) - self.cost, 0)
    }

    /// What is left of the room for hits in this window.
    func remaining(of room: Int, _ isAdmitted: Bool) -> Int {
        others >= room ? 0 : isAdmitted ? room - others - cost : room - others
    }
}

/// A place within a window.
private struct Moment {
    let length: Int64
    let elapsed: Int64

    init(_ window: Window, elapsedMilliseconds: Int64) {
        length = window.lengthMilliseconds
        elapsed = elapsedMilliseconds
    }

    /// How many of the previous window's hits are still in view, rounded up.
    func inView(of previous: Int) -> Int {
        guard previous > 0, elapsed > 0 else { return previous }
        let product = UInt64(previous).multipliedFullWidth(by: UInt64(length - elapsed))
        // The quotient fits: it is not more than `previous`.
        let (quotient, rest) = UInt64(length).dividingFullWidth(product)
        return Int(quotient) + (rest > 0 ? 1 : 0)
    }

    /// How long until the hit that was refused could be admitted, in milliseconds.
    func wait(_ hit: WindowHit, previous: Int, limit: Int) -> Int64 {
        // It will never be admitted; a client that asks once a window does no harm.
        guard hit.asked <= limit else { return length }
        // A count may hold hits that others are about to give back. Those that stay were admitted: of the previous window no
        // more than the limit, of this one no more than fit beside them by now.
        let previous = min(previous, limit)
        let admitted = min(hit.others, limit - inView(of: previous))
        // What fits once stays fitting, so the first moment found is the answer.
        var moment = Self.elapsedUntil(limit - hit.asked - admitted, of: previous, areInView: length)
        if moment == length {
            // Not in this window. In the next one, this window's hits are the previous ones, and nothing else is there.
            moment += Self.elapsedUntil(limit - hit.asked, of: admitted, areInView: length)
        }
        return moment - elapsed
    }

    /// How far into a window no more than `room` of the `previous` hits of the one before are in view, in milliseconds.
    private static func elapsedUntil(_ room: Int, of previous: Int, areInView length: Int64) -> Int64 {
        guard previous > room else { return 0 }
        guard room > 0 else { return length }
        let product = UInt64(room).multipliedFullWidth(by: UInt64(length))
        // The quotient fits: it is less than `length`.
        return length - Int64(UInt64(previous).dividingFullWidth(product).quotient)
    }
}
