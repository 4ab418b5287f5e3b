import EventLoop
import Telemetry

/// What the proxy counts, under one configuration.
struct ProxyMetrics: Sendable {
    /// The classes of statuses, in the order of the label's values; the first is that no answer went out.
    private static let classes = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"]

    private let requests: CounterFamily
    private let requestSeconds: LatencyFamily
    private let policySeconds: LatencyFamily
    private let upstreamSeconds: LatencyFamily
    private let unanswered: CounterFamily
    private let idleConnections: GaugeFamily
    let connections: GaugeFamily
    /// The index of the requests that no route was found for.
    private let noRoute: Int

    /// Declares them all in place of those of the configuration before.
    init(
        _ registry: MetricRegistry, _ configuration: ProxyConfiguration, _ upstreams: [UpstreamStatus], _ log: LogWriter
    ) throws(UnfitMetrics) {
        let rows = configuration.routes.map { [$0.prefix, $0.upstream.name] }
        let routes = LabelSet(names: ["route", "upstream"], rows: rows)
        let all = LabelSet(names: ["route", "upstream"], rows: rows + [["none", "none"]])
        noRoute = configuration.routes.count
        let prefix = "gatehouse_proxy_"
        (requests, requestSeconds, policySeconds, upstreamSeconds, unanswered, idleConnections, connections) = try registry.declare {
            metrics throws(UnfitMetrics) in
            try metrics.counter(prefix + "log_lines_dropped_total", "Lines of the access log that could not be written.") { _ in
                Double(log.droppedLineCount)
            }
            try Self.declareUpstreams(upstreams, prefix, &metrics)
            return (
                try metrics.counter(
                    prefix + "requests_total", "Requests, by route and by the class of the status they were answered with.",
                    all.crossed(with: "class", Self.classes)),
                try metrics.latencies(prefix + "request_seconds", "How long a request took, from its head to the end of its answer."),
                try metrics.latencies(prefix + "policy_seconds", "How long the policy daemon took for a verdict, or was waited for in vain."),
                try metrics.latencies(
                    prefix + "upstream_seconds", "From forwarding a request until its answer began, or there was none.", routes),
                try metrics.counter(prefix + "policy_unanswered_total", "Requests answered with 503 for want of a verdict."),
                try metrics.gauge(prefix + "upstream_idle_connections", "Unused connections kept to an upstream.", LabelSet("upstream", upstreams.map(\.upstream.name))),
                try metrics.gauge(prefix + "connections", "Clients that are connected.")
            )
        }
    }

    /// Counts a request that has ended.
    ///
    /// - Parameter route: the place of its route, whether or not it got there.
    func count(_ record: AccessRecord, route: Int?, nanoseconds: Int64, in worker: WorkerMetrics) {
        worker.count(requests, (route ?? noRoute) * Self.classes.count + min(Int(record.status) / 100, Self.classes.count - 1))
        worker.observe(nanoseconds: nanoseconds, in: requestSeconds)
        if let policy = record.policyNanoseconds { worker.observe(nanoseconds: policy, in: policySeconds) }
        if let upstream = record.upstreamNanoseconds, let route { worker.observe(nanoseconds: upstream, in: upstreamSeconds, route) }
        if record.reason == .policyUnavailable { worker.count(unanswered) }
    }

    func setIdleConnections(_ count: Int, upstream: Int, in worker: WorkerMetrics) { worker.set(idleConnections, upstream, to: count) }

    private static func declareUpstreams(
        _ upstreams: [UpstreamStatus], _ prefix: String, _ metrics: inout MetricDeclarations
    ) throws(UnfitMetrics) {
        let endpoints = upstreams.flatMap { status in status.endpoints.map { (status.upstream.name, $0) } }
        try metrics.gauge(
            prefix + "endpoint_up", "Whether an endpoint gets requests: neither unhealthy nor ejected.",
            LabelSet(names: ["upstream", "endpoint"], rows: endpoints.map { [$0.0, $0.1.endpoint.url] })
        ) { index in
            let now = Clock.monotonicNanoseconds() / 1_000_000
            return endpoints[index].1.isHealthy && endpoints[index].1.ejectedUntil <= now ? 1 : 0
        }
        let breakers = upstreams.filter { $0.upstream.circuitBreaker != nil }
        try metrics.gauge(
            prefix + "circuit_state", "1 for the state that an upstream's circuit breaker is in.",
            LabelSet("upstream", breakers.map(\.upstream.name)).crossed(with: "state", ["closed", "half_open", "open"])
        ) { index in
            let state = switch breakers[index / 3].breakerState {
            case nil, .closed?: 0
            case .halfOpen?: 1
            case .open?: 2
            }
            return state == index % 3 ? 1 : 0
        }
        let limited = upstreams.filter { $0.upstream.limit != nil }
        let labels = LabelSet("upstream", limited.map(\.upstream.name))
        try metrics.gauge(prefix + "upstream_requests", "Requests that are with an upstream that takes so many at once.", labels) {
            limited[$0].requestCounts.map { Double($0.active) }
        }
        try metrics.gauge(prefix + "upstream_requests_waiting", "Requests that wait for their turn there.", labels) {
            limited[$0].requestCounts.map { Double($0.waiting) }
        }
    }
}
