/// What the health checks of one endpoint have come to. A value.
struct HealthRecord {
    private let rules: HealthCheckRules
    private(set) var isHealthy = true
    /// Checks in a row that say the opposite.
    private var contradictions = 0
    /// The first one decides alone: nothing is known before it.
    private var isFirst = true

    init(_ rules: HealthCheckRules) { self.rules = rules }

    /// Notes a check.
    ///
    /// - Returns: whether ``isHealthy`` has changed.
    mutating func note(passed: Bool) -> Bool {
        defer { isFirst = false }
        guard passed != isHealthy else {
            contradictions = 0
            return false
        }
        contradictions += 1
        guard isFirst || contradictions >= (isHealthy ? rules.unhealthyAfter : rules.healthyAfter) else { return false }
        isHealthy = passed
        contradictions = 0
        return true
    }
}

/// How an endpoint is asked whether it is well: by `GET`, and any 2xx says that it is.
public struct HealthCheckRules: Sendable, Equatable {
    public var path: String
    public var intervalMilliseconds: Int64 = 5_000
    /// From connecting to the end of the response's head.
    public var timeoutMilliseconds: Int64 = 2_000
    /// Checks in a row.
    public var healthyAfter = 2
    public var unhealthyAfter = 3

    public init(path: String) { self.path = path }
}
