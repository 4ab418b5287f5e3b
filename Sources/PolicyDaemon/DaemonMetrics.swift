import Counters
import KeySources
import Policy
import Telemetry

/// What the daemon counts, under one configuration.
struct DaemonMetrics: Sendable {
    /// What becomes of hits, in the order of the label's values.
    private enum HitResult: Int, CaseIterable {
        case admitted, exceeded, shadowExceeded, uncounted

        var text: String {
            switch self {
            case .admitted: "admitted"
            case .exceeded: "exceeded"
            case .shadowExceeded: "shadow_exceeded"
            case .uncounted: "uncounted"
            }
        }
    }

    let decisions: CounterFamily
    let hits: CounterFamily
    let durations: LatencyFamily
    private let credentialLookups: CounterFamily
    let connections: GaugeFamily
    private let conditionReasons: [[UInt8]: Int]
    /// The place of each limit's name among the labels.
    private let limits: [ObjectIdentifier: Int]

    /// Declares them all in place of those of the configuration before.
    init(_ registry: MetricRegistry, _ rules: PolicyRules, _ keeper: KeyKeeper, issuers: [String], counting: CounterStore.Kind) throws(UnfitMetrics) {
        let conditions = Set(rules.rules.flatMap { $0.options.conditions.map(\.reason.bytes) }).subtracting(Reason.allCases.map(\.bytes))
            .sorted { $0.lexicographicallyPrecedes($1) }
        let reasons = Reason.allCases.map(\.bytes) + conditions
        var limits: [String] = []
        for limit in rules.allLimits where !limits.contains(limit.name) { limits.append(limit.name) }
        conditionReasons = Dictionary(uniqueKeysWithValues: conditions.enumerated().map { ($1, Reason.allCases.count + $0) })
        var places: [ObjectIdentifier: Int] = [:]
        for limit in rules.allLimits { places[ObjectIdentifier(limit)] = limits.firstIndex(of: limit.name) }
        self.limits = places
        let prefix = "gatehouse_policyd_"
        (decisions, hits, durations, credentialLookups, connections) = try registry.declare { metrics throws(UnfitMetrics) in
            let handles = (
                try metrics.counter(
                    prefix + "decisions_total", "Requests judged, by what came of it.",
                    LabelSet("reason", reasons.map { String(decoding: $0, as: UTF8.self) })),
                try metrics.counter(
                    prefix + "limit_hits_total", "Requests counted by a limit of a rule, by what it said; the rate limit service's are not among them.",
                    LabelSet("limit", limits).crossed(with: "result", HitResult.allCases.map(\.text))),
                try metrics.latencies(prefix + "decision_seconds", "How long a decision took, waiting for the store included."),
                try metrics.counter(
                    prefix + "credential_lookups_total", "Credentials looked up among those verified before.",
                    LabelSet("result", ["hit", "miss"])),
                try metrics.gauge(prefix + "connections", "Clients of the policy socket.")
            )
            try metrics.gauge(prefix + "store_up", "Whether the store of counters can be asked.") { _ in counting.isUp ? 1 : 0 }
            let labels = LabelSet("issuer", issuers)
            try metrics.gauge(prefix + "keys_available", "Whether the issuer's keys are there.", labels) { keeper.status($0).isAvailable ? 1 : 0 }
            try metrics.gauge(prefix + "keys_age_seconds", "How long ago the issuer's keys were looked at with success.", labels) { keeper.status($0).ageSeconds }
            try metrics.counter(prefix + "keys_fetches_total", "Attempts to fetch the issuer's keys.", labels) { Double(keeper.status($0).fetches) }
            try metrics.counter(prefix + "keys_fetch_failures_total", "Of these, the ones that failed.", labels) { Double(keeper.status($0).failures) }
            return handles
        }
    }

    func countLookup(isHit: Bool, in worker: WorkerMetrics) { worker.count(credentialLookups, isHit ? 0 : 1) }

    func count(_ decision: Decision, in worker: WorkerMetrics) {
        let index = decision.reason == .conditionFailed ? conditionReasons[decision.reasonText] : nil
        worker.count(decisions, index ?? Int(decision.reason.rawValue))
        for standing in decision.standings {
            guard let limit = limits[ObjectIdentifier(standing.hit.limit)] else { continue }
            let result: HitResult = standing.status == nil ? .uncounted
                : !standing.isOver ? .admitted : standing.hit.limit.isShadow ? .shadowExceeded : .exceeded
            worker.count(hits, limit * HitResult.allCases.count + result.rawValue)
        }
    }
}
