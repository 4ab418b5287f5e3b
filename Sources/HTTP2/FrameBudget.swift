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
    /// By ``Kind``.
    private var left: InlineArray<6, Int>
    private var refilledMilliseconds: Int64?

    init(_ limits: SessionLimits) {
        self.limits = limits
        left = InlineArray(repeating: limits.idleFrames)
        precondition(left.count == Kind.allCases.count, "a budget for each kind")
    }

    /// - Returns: false where the budget is spent.
    mutating func spend(_ kind: Kind) -> Bool {
        left[kind.rawValue] -= 1
        return left[kind.rawValue] >= 0
    }

    /// A request that is answered makes up for one that is reset, not for several: each of those costs as much as it did.
    mutating func earnForRequest() {
        for index in left.indices { earn(index == Kind.reset.rawValue ? 1 : limits.idleFramesPerRequest, at: index) }
    }

    /// A client that opens many streams ahead of their answers gives each of them its window. Nothing else is earned by opening: a
    /// stream that is opened and reset is what a flood is made of.
    mutating func earnForStream() { earn(limits.idleFramesPerRequest, at: Kind.windowUpdate.rawValue) }

    /// What a client receives it acknowledges, for the stream and for the connection, however long the answer is: Node does every 32 KB.
    mutating func earnForContent() { earn(limits.idleFramesPerRequest, at: Kind.windowUpdate.rawValue) }

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
        for index in left.indices { earn(count, at: index) }
    }

    private mutating func earn(_ count: Int, at index: Int) {
        left[index] = min(left[index] + count, limits.idleFrames)
    }
}
