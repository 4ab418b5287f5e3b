/// Whether requests go to an upstream at all: after too many failures they are refused at once, until a probe succeeds. A value;
/// time is an argument.
struct CircuitBreaker {
    enum State: Equatable {
        /// Requests go through.
        case closed
        /// None goes through before `until`.
        case open(until: Int64)
        /// One at a time goes through, to see.
        case halfOpen(isProbing: Bool)
    }

    enum Admission: Equatable {
        /// Give the pass back with how it ended.
        case admitted(Pass)
        /// Worth trying again after so many milliseconds.
        case refused(afterMilliseconds: Int64)
    }

    /// What a request that goes through has, so that its end is counted where it belongs.
    struct Pass: Equatable {
        /// How often the state had changed: the end of a request that began before that says nothing of what is now.
        fileprivate let epoch: Int
    }

    enum Outcome {
        case succeeded, failed
        /// It ended by nobody's fault but the client's.
        case unknown
    }

    /// How long a client is told to wait while a probe is on its way.
    private static let probeMilliseconds: Int64 = 1000

    private let rules: CircuitBreakerRules
    private(set) var state = State.closed
    private var epoch = 0
    private var failures = 0
    /// Requests that ended, and those of them that failed.
    private var counts: TrailingCounts

    init(_ rules: CircuitBreakerRules) {
        self.rules = rules
        counts = TrailingCounts(windowMilliseconds: rules.windowMilliseconds)
    }

    /// - Returns: what becomes of a request, and the state where it has changed.
    mutating func admit(now: Int64) -> (Admission, State?) {
        switch state {
        case .closed: return (.admitted(Pass(epoch: epoch)), nil)
        case .open(let until) where until > now: return (.refused(afterMilliseconds: until - now), nil)
        case .halfOpen(isProbing: true): return (.refused(afterMilliseconds: Self.probeMilliseconds), nil)
        case .open:
            change(to: .halfOpen(isProbing: true))
            return (.admitted(Pass(epoch: epoch)), state)
        case .halfOpen(isProbing: false):
            state = .halfOpen(isProbing: true)
            return (.admitted(Pass(epoch: epoch)), nil)
        }
    }

    /// Whether a request would be refused now. Changes nothing.
    func refusal(now: Int64) -> Int64? {
        switch state {
        case .open(let until) where until > now: until - now
        case .halfOpen(isProbing: true): Self.probeMilliseconds
        default: nil
        }
    }

    /// Notes the end of a request that was admitted.
    ///
    /// - Returns: the state where it has changed.
    mutating func ended(_ pass: Pass, _ outcome: Outcome, now: Int64) -> State? {
        guard pass.epoch == epoch else { return nil }
        switch (state, outcome) {
        case (.open, _): return nil
        case (.halfOpen, .unknown): state = .halfOpen(isProbing: false)
        case (.halfOpen, .succeeded): return change(to: .closed)
        case (.halfOpen, .failed): return change(to: .open(until: now + rules.openMilliseconds))
        case (.closed, .unknown): break
        case (.closed, .succeeded):
            failures = 0
            counts.add(first: 1, now: now)
        case (.closed, .failed):
            failures += 1
            counts.add(first: 1, second: 1, now: now)
            if hasFailedTooOften(now) { return change(to: .open(until: now + rules.openMilliseconds)) }
        }
        return nil
    }

    private mutating func hasFailedTooOften(_ now: Int64) -> Bool {
        if let limit = rules.consecutiveFailures, failures >= limit { return true }
        guard let percent = rules.errorPercent else { return false }
        let (requests, errors) = counts.counts(now: now)
        return requests >= rules.minimumRequests && errors * 100 >= percent * requests
    }

    @discardableResult private mutating func change(to next: State) -> State {
        state = next
        epoch += 1
        failures = 0
        counts.clear()
        return next
    }
}

/// When a circuit breaker opens, and for how long. It does by either of the two where both are given.
public struct CircuitBreakerRules: Sendable, Equatable {
    /// In a row.
    public var consecutiveFailures: Int?
    /// Of the requests in the window…
    public var errorPercent: Int?
    /// …where it has so many at least.
    public var minimumRequests = 20
    public var windowMilliseconds: Int64 = 10_000
    /// Whether an answer of 500 to 599 is a failure too.
    public var countsServerErrors = false
    public var openMilliseconds: Int64 = 5_000

    public init() {}
}
