/// How often two kinds of thing have happened in the last while, to a tenth of it. A value; time is an argument.
struct TrailingCounts {
    private static let partCount = 10

    private let partMilliseconds: Int64
    private var parts: [(first: Int, second: Int)]
    private var sum = (first: 0, second: 0)
    /// The number of the part that counts now, since the clock's start.
    private var current: Int64 = 0

    /// - Parameter windowMilliseconds: 10 at least.
    init(windowMilliseconds: Int64) {
        partMilliseconds = max(windowMilliseconds / Int64(Self.partCount), 1)
        parts = Array(repeating: (0, 0), count: Self.partCount)
    }

    mutating func add(first: Int = 0, second: Int = 0, now: Int64) {
        advance(to: now)
        let place = Int(current % Int64(Self.partCount))
        parts[place].first += first
        parts[place].second += second
        sum.first += first
        sum.second += second
    }

    mutating func counts(now: Int64) -> (first: Int, second: Int) {
        advance(to: now)
        return sum
    }

    mutating func clear() {
        for place in parts.indices { parts[place] = (0, 0) }
        sum = (0, 0)
    }

    /// Forgets the parts that have left the window. Workers read the clock once a turn, so `now` may lie a little back.
    private mutating func advance(to now: Int64) {
        let next = now / partMilliseconds
        guard next > current else { return }
        if next - current >= Int64(Self.partCount) { clear() } else {
            for number in (current + 1)...next {
                let place = Int(number % Int64(Self.partCount))
                sum.first -= parts[place].first
                sum.second -= parts[place].second
                parts[place] = (0, 0)
            }
        }
        current = next
    }
}
