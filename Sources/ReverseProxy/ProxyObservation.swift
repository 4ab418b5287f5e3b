import EventLoop
import Telemetry

/// What is there for those who look at the proxy by its admin listener.
struct ProxyObservation: Sendable {
    /// Numbers: room for some 500 routes, and as many again while a reload replaces them.
    private static let metricCapacity = 32_768

    let registry: MetricRegistry
    private(set) var metrics: ProxyMetrics
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
    ///
    /// - Parameter workers: how many there are, whatever the configuration says of it by now.
    static func ofThose(
        whoLookBy configuration: ProxyConfiguration, workers: Int, _ upstreams: [UpstreamStatus], _ log: LogWriter
    ) throws(UnfitMetrics) -> ProxyObservation? {
        guard configuration.admin != nil else { return nil }
        return try ProxyObservation(
            MetricRegistry(capacity: metricCapacity), ProxyReadiness(workers: workers), configuration, upstreams, log)
    }

    /// Shows what another configuration has in place of that of the one before, which nothing may be counted by from then on.
    mutating func declare(
        _ configuration: ProxyConfiguration, _ upstreams: [UpstreamStatus], _ log: LogWriter
    ) throws(UnfitMetrics) {
        metrics = try ProxyMetrics(registry, configuration, upstreams, log)
    }
}
