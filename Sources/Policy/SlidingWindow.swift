/// The windows that time is cut into for one limit: number `n` is the seconds from `n` × length up to the next one's start.
public struct Window: Sendable, Equatable {
    /// The lengths a window may have, in seconds: up to a leap year.
    public static let acceptedSeconds = 1...31_622_400

    public let lengthSeconds: Int

    /// - Precondition: `lengthSeconds` is one of ``acceptedSeconds``.
    public init(lengthSeconds: Int) {
        precondition(Self.acceptedSeconds.contains(lengthSeconds), "no window is \(lengthSeconds) seconds long")
        self.lengthSeconds = lengthSeconds
    }

    /// The window that a moment is in; moments before 1970 count as 1970.
    public func number(at unixSeconds: Int64) -> Int64 { max(unixSeconds, 0) / Int64(lengthSeconds) }

    /// The window that a moment is in; moments before 1970 count as 1970.
    public func number(atMilliseconds unixMilliseconds: Int64) -> Int64 { max(unixMilliseconds, 0) / lengthMilliseconds }

    /// Where window `number` ends and the next begins, in Unix seconds.
    public func end(of number: Int64) -> Int64 { (number + 1) * Int64(lengthSeconds) }

    var lengthMilliseconds: Int64 { Int64(lengthSeconds) * 1000 }
}

/// The hits counted for one key in the window that a hit falls into, and in the one before.
public struct WindowCounts: Sendable, Equatable {
    /// Hits of the current window, the one being judged included.
    public var current: Int
    /// Hits of the window before.
    public var previous: Int

    public init(current: Int, previous: Int) {
        self.current = current
        self.previous = previous
    }
}

/// What a limit says to one hit: what the client is told in `X-RateLimit-…` and `Retry-After`.
public struct LimitStatus: Sendable, Equatable {
    /// Whether the hit may pass. One that may not is to be given back, so that it doesn't count.
    public let isAdmitted: Bool
    public let limit: Int
    /// How many more hits would be admitted at this moment.
    public let remaining: Int
    /// The end of the current window.
    public let resetUnixSeconds: Int64
    /// For a hit that was not admitted: the least number of whole seconds, at least 1, after which one could be, if no more
    /// arrive meanwhile and the refused ones are given back. 0 for a hit that was admitted.
    public let retryAfterSeconds: Int

    public init(isAdmitted: Bool, limit: Int, remaining: Int, resetUnixSeconds: Int64, retryAfterSeconds: Int) {
        self.isAdmitted = isAdmitted
        self.limit = limit
        self.remaining = remaining
        self.resetUnixSeconds = resetUnixSeconds
        self.retryAfterSeconds = retryAfterSeconds
    }
}

/// A limit over a window that slides: the previous window's hits count by the share of it that is still in view.
///
///     estimate = previous × (length − elapsed) / length + current     admitted: estimate ≤ limit
///
/// As `current` and `limit` are whole numbers, the first term can be rounded up without changing any answer. So all of it is
/// done in integers, and no count is too large to be exact.
public enum SlidingWindow {
    /// Judges one hit.
    ///
    /// - Parameters:
    ///   - counts: with this hit in `current`. A negative count is none.
    ///   - limit: how many hits a window may hold. With 0 or less nothing is admitted.
    ///   - nowUnixMilliseconds: the moment at which the hit was counted, so that its window is the one the counts are of.
    public static func judge(
        _ counts: WindowCounts, limit: Int, window: Window, nowUnixMilliseconds: Int64
    ) -> LimitStatus {
        let number = window.number(atMilliseconds: nowUnixMilliseconds)
        let moment = Moment(window, elapsedMilliseconds: max(nowUnixMilliseconds, 0) - number * window.lengthMilliseconds)
        let current = max(counts.current, 0)
        let previous = max(counts.previous, 0)
        let room = max(limit, 0) - moment.inView(of: previous)
        let isAdmitted = current <= room && limit > 0
        return LimitStatus(
            isAdmitted: isAdmitted, limit: limit, remaining: isAdmitted ? room - current : 0,
            resetUnixSeconds: window.end(of: number),
            retryAfterSeconds: isAdmitted
                ? 0 : moment.retryAfterSeconds(others: max(current - 1, 0), previous: previous, limit: limit))
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

    /// - Parameter others: the current window's hits but for the one that was refused.
    func retryAfterSeconds(others: Int, previous: Int, limit: Int) -> Int {
        // Nothing will ever be admitted; a client that asks once a window does no harm.
        guard limit > 0 else { return Int(length / 1000) }
        // A count may hold hits that others are about to give back. Those that stay were admitted: of the previous window no
        // more than the limit, of this one no more than fit beside them by now.
        let previous = min(previous, limit)
        let admitted = min(others, limit - inView(of: previous))
        // What fits once stays fitting, so the first moment found, rounded up to a whole second, is the answer.
        var moment = Self.elapsedUntil(limit - 1 - admitted, of: previous, areInView: length)
        if moment == length {
            // Not in this window. In the next one, this window's hits are the previous ones, and nothing else is there.
            moment += Self.elapsedUntil(limit - 1, of: admitted, areInView: length)
        }
        return Int(max((moment - elapsed + 999) / 1000, 1))
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
