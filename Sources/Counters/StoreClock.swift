/// How far the clock of a Redis is ahead of this machine's, so that the windows of all who count there begin and end at once.
struct StoreClock {
    private(set) var offsetMilliseconds: Int64 = 0

    /// Takes what a Redis answered when it was asked for its time. All in milliseconds since 1970.
    mutating func note(_ time: Int64, askedAt: Int64, answeredAt: Int64) {
        let travel = max(answeredAt - askedAt, 0)
        let measured = time - (askedAt + travel / 2)
        // Both clocks were cut to milliseconds, and where in the travelling time the answer was made nobody knows. What lies
        // within that is no news: else windows would tremble.
        if abs(measured - offsetMilliseconds) > travel / 2 + 2 { offsetMilliseconds = measured }
    }
}
