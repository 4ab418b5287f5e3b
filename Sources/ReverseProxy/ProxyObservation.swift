import EventLoop
import Telemetry

/// What is there for those who look at the proxy by its admin listener.
struct ProxyObservation: Sendable {
    /// Numbers: room for some 500 routes, and as many again while a reload replaces them.
    private static let metricCapacity = 32_768

    let registry: MetricRegistry
    let metrics: ProxyMetrics
    let readiness: ProxyReadiness

    private init(
        _ registry: MetricRegistry, _ readiness: ProxyReadiness, _ configuration: ProxyConfiguration, _ upstreams: [UpstreamStatus],
        _ log: LogWriter
    ) throws(UnfitMetrics) {
        self.registry = registry
        self.readiness = readiness
        metrics = try ProxyMetrics(registry, configuration, upstreams, log)
    }

    /// Nil where the configuration lets nobody look.
    static func ofThose(
        whoLookBy configuration: ProxyConfiguration, _ upstreams: [UpstreamStatus], _ log: LogWriter
    ) throws(UnfitMetrics) -> ProxyObservation? {
        guard configuration.admin != nil else { return nil }
        return try ProxyObservation(
            MetricRegistry(capacity: metricCapacity), ProxyReadiness(workers: configuration.workers), configuration, upstreams, log)
    }

    /// The same process under another configuration.
    func replaced(by configuration: ProxyConfiguration, _ upstreams: [UpstreamStatus], _ log: LogWriter) throws(UnfitMetrics) -> ProxyObservation {
        try ProxyObservation(registry, readiness, configuration, upstreams, log)
    }
}
