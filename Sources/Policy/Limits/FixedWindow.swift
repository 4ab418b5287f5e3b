/// A limit that begins anew with each window.
///
/// At the most 2 × limit pass in a stretch as long as the window: all at the end of one, and all at the start of the next.
enum FixedWindow {
    /// Judges one hit.
    ///
    /// - Parameters:
    ///   - counts: with this hit in `current`; `previous` is not looked at. A negative count is none.
    ///   - limit: what hits may cost in a window. With 0 or less nothing is admitted.
    ///   - cost: what this hit counts for in `current`. 0 asks whether one of cost 1 would be admitted.
    ///   - nowUnixMilliseconds: the moment at which the hit was counted, so that its window is the one the counts are of.
    static func judge(
        _ counts: WindowCounts, limit: Int, window: Window, cost: Int = 1, nowUnixMilliseconds: Int64
    ) -> LimitStatus {
        let now = max(nowUnixMilliseconds, 0)
        let end = window.end(of: window.number(atMilliseconds: now))
        let hit = WindowHit(counts, cost: cost)
        let isAdmitted = hit.asked <= limit && hit.others <= limit - hit.asked
        let retryAt = hit.asked <= limit ? end * 1000 : now + window.lengthMilliseconds
        return LimitStatus(
            limit: limit, remaining: hit.remaining(of: max(limit, 0), isAdmitted), resetUnixSeconds: end,
            retryAt: isAdmitted ? nil : retryAt, nowUnixMilliseconds: now)
    }
}
