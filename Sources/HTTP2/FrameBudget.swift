/// How many more frames of each kind a client may send that cost work and move no request on.
///
/// A share a second lets a quiet connection ping for ever, and a share a request lets a busy one acknowledge what it receives; a
/// flood has neither.
struct FrameBudget {
    enum Kind: Int, CaseIterable {
        case settings, ping, reset, windowUpdate, emptyData, priority

        var name: StaticString {
            switch self {
            case .settings: "SETTINGS"
            case .ping: "PING"
            case .reset: "RST_STREAM"
            case .windowUpdate: "WINDOW_UPDATE"
            case .emptyData: "empty DATA"
            case .priority: "PRIORITY"
            }
        }
    }

    private let limits: SessionLimits
    private var left: [Int]
    private var refilledMilliseconds: Int64?

    init(_ limits: SessionLimits) {
        self.limits = limits
        left = Array(repeating: limits.idleFrames, count: Kind.allCases.count)
    }

    /// - Returns: false where the budget is spent.
    mutating func spend(_ kind: Kind) -> Bool {
        left[kind.rawValue] -= 1
        return left[kind.rawValue] >= 0
    }

    mutating func earnForRequest() { earn(limits.idleFramesPerRequest) }

    /// - Parameter nowMilliseconds: on a clock that may be set back, which then earns nothing.
    mutating func earn(untilMilliseconds nowMilliseconds: Int64) {
        guard let refilledMilliseconds, nowMilliseconds >= refilledMilliseconds else {
            self.refilledMilliseconds = nowMilliseconds
            return
        }
        let seconds = (nowMilliseconds - refilledMilliseconds) / 1000
        guard seconds > 0 else { return }
        self.refilledMilliseconds = refilledMilliseconds + seconds * 1000
        earn(Int(min(seconds, Int64(limits.idleFrames))) * limits.idleFramesPerSecond)
    }

    private mutating func earn(_ count: Int) {
        for index in left.indices { left[index] = min(left[index] + count, limits.idleFrames) }
    }
}
