import Policy

/// The decision point of a worker, which a reload replaces.
final class CurrentDecisionPoint {
    var decisions: DecisionPoint
    /// Nil where Envoy's rate limit filter may ask about nothing.
    var rateLimits: RateLimitService?

    init(_ decisions: DecisionPoint, rateLimits: RateLimitService? = nil) {
        self.decisions = decisions
        self.rateLimits = rateLimits
    }
}

/// The decision point of one client: the worker's, as long as the headers that the client was told of are those that it needs.
/// A client that was told of others has to begin anew, and is answered by the one before until it has. What is kept of allows
/// (``WrittenAllow/Words``) counts on that.
final class GreetedDecisionPoint {
    private let point: CurrentDecisionPoint
    private var greeted: DecisionPoint
    private var seen: DecisionPoint

    init(_ point: CurrentDecisionPoint) {
        self.point = point
        greeted = point.decisions
        seen = greeted
    }

    var decisions: DecisionPoint {
        let latest = point.decisions
        guard latest !== seen else { return greeted }
        seen = latest
        if Greeting(latest.rules) == Greeting(greeted.rules) { greeted = latest }
        return greeted
    }

    var isOutdated: Bool { decisions !== point.decisions }
}

/// The headers that clients are told of as they begin.
struct Greeting: Equatable {
    let wantedHeaders: [String]
    let ownedHeaders: [String]

    init(_ rules: PolicyRules) {
        wantedHeaders = rules.wantedHeaders
        ownedHeaders = rules.ownedHeaders
    }
}
