/// How many requests are with an upstream, and who waits for it: first come, first served, whatever worker it came to. A value.
struct RequestLine {
    enum Answer: Equatable {
        case goes
        /// Wait until ``leave()`` names this worker, or ``giveUp(_:)``.
        case waits
        case full
    }

    private let rules: RequestLimit
    /// Requests that are there.
    private(set) var count = 0
    /// The workers of those that wait, the first in front.
    private var waiting: [Int] = []

    init(_ rules: RequestLimit) { self.rules = rules }

    var waitingCount: Int { waiting.count }

    /// A request comes.
    mutating func enter(from worker: Int) -> Answer {
        if count < rules.maximum {
            count += 1
            return .goes
        }
        guard waiting.count < rules.queueLength else { return .full }
        waiting.append(worker)
        return .waits
    }

    /// A request has ended. Where somebody waits, it is their turn.
    ///
    /// - Returns: the worker whose first request goes now.
    mutating func leave() -> Int? {
        guard waiting.isEmpty else { return waiting.removeFirst() }
        count -= 1
        return nil
    }

    /// A request of `worker` waits no longer.
    ///
    /// - Returns: false where none of it waits any more: its turn has come already, and has to be passed on.
    mutating func giveUp(_ worker: Int) -> Bool {
        guard let place = waiting.lastIndex(of: worker) else { return false }
        waiting.remove(at: place)
        return true
    }
}

/// How many requests may be with an upstream at once, all workers together, and how many wait for that.
public struct RequestLimit: Sendable, Equatable {
    public var maximum: Int
    /// 0: none waits.
    public var queueLength = 0
    public var queueMilliseconds: Int64 = 1_000

    public init(maximum: Int) { self.maximum = maximum }
}
