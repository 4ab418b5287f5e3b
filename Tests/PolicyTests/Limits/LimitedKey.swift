import Policy

/// One key as a store keeps it that forgets nothing, and the moments of all that it admitted.
struct LimitedKey {
    let quota: Quota
    private var windows: [Int64: Int] = [:]
    private var log = SlidingLog()
    private var bucket = TokenBucket()
    private(set) var admitted: [(time: Int64, cost: Int)] = []

    init(_ quota: Quota) { self.quota = quota }

    var length: Int64 { Int64(quota.window.lengthSeconds) * 1000 }

    /// Counts a hit, and gives it back where it is refused.
    mutating func hit(cost: Int = 1, at now: Int64) -> LimitStatus {
        let number = quota.window.number(atMilliseconds: now)
        let state: LimitState
        switch quota.algorithm {
        case .slidingWindow, .fixedWindow:
            windows[number, default: 0] += cost
            state = .windows(WindowCounts(current: windows[number]!, previous: windows[number - 1] ?? 0))
        case .slidingLog: state = .log(log.hit(quota, cost: cost, nowUnixMilliseconds: now).found)
        case .tokenBucket: state = .bucket(bucket.hit(quota, cost: cost, nowUnixMilliseconds: now).found)
        }
        let status = quota.judge(state, cost: cost, nowUnixMilliseconds: now)
        if status.isAdmitted {
            admitted.append((now, cost))
        } else if case .windows = state {
            windows[number]! -= cost
        }
        return status
    }

    /// What it admitted in the window's length up to a moment.
    func admitted(upTo now: Int64) -> Int {
        admitted.reduce(0) { $0 + ($1.time > now - length && $1.time <= now ? $1.cost : 0) }
    }

    /// The most that it ever admitted in a stretch as long as the window.
    var mostInAnyWindow: Int {
        var (most, sum, oldest) = (0, 0, 0)
        for hit in admitted {
            sum += hit.cost
            while admitted[oldest].time <= hit.time - length {
                sum -= admitted[oldest].cost
                oldest += 1
            }
            most = max(most, sum)
        }
        return most
    }

    /// What the README says is the most: `window` in milliseconds is what a hit's moment is known to.
    var claimedMost: Int {
        let (count, length) = (quota.count, Int(length))
        return switch quota.algorithm {
        case .slidingWindow: 2 * count - (2 * count + length - 1) / length
        case .fixedWindow: 2 * count
        case .slidingLog: count
        case .tokenBucket: quota.burst + count * (length - 1) / length
        }
    }
}
