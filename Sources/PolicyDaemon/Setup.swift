import Counters
import EventLoop
import KeySources
import Logging
import Policy
import Telemetry
import TLS

/// What all workers share under one configuration.
final class Setup: Sendable {
    let configuration: DaemonConfiguration
    let authentication: Authentication
    let counting: CounterStore.Kind
    let metrics: DaemonMetrics
    /// Where the decision log goes; nil where nothing is logged.
    let decisionLog: LogWriter?

    /// - Parameters:
    ///   - previous: the setup that this one takes the place of. Keys that it has fetched, and counters in the same store, stay.
    ///   - decisionLog: where decisions are logged, if any are.
    /// - Throws: `UnusableKeySource`, `UnfitMetrics`.
    init(
        _ configuration: DaemonConfiguration, replacing previous: Setup?, registry: MetricRegistry, decisionLog: LogWriter?,
        logger: Logger
    ) throws {
        let keeper = try KeyKeeper(
            configuration.issuers.map(\.keys), apiKeys: configuration.apiKeyFile.map { APIKeySource(path: $0) },
            takingOver: previous?.authentication.keeper, logger: logger)
        authentication = Authentication(configuration, keeper: keeper, cacheCapacity: configuration.credentialCacheCapacity)
        if let previous, configuration.countsWhere(previous.configuration) {
            counting = previous.counting
        } else {
            counting = try Self.counting(configuration)
        }
        self.configuration = configuration
        self.decisionLog = decisionLog
        metrics = try DaemonMetrics(
            registry, configuration.rules, keeper, issuers: configuration.issuers.map(\.name), counting: counting)
    }

    private static func counting(_ configuration: DaemonConfiguration) throws -> CounterStore.Kind {
        let memory = MemoryCounters(capacity: configuration.memoryCounterCapacity)
        guard let redis = configuration.redis else { return .memory(memory) }
        return .redis(
            try RedisBackend(
                redis, deadlineMilliseconds: configuration.redisDeadlineMilliseconds, onFailure: configuration.onFailure,
                fallback: memory))
    }
}

extension DaemonConfiguration {
    /// Whether both count in the same store in the same way.
    fileprivate func countsWhere(_ other: DaemonConfiguration) -> Bool {
        redis == other.redis && redisDeadlineMilliseconds == other.redisDeadlineMilliseconds && onFailure == other.onFailure
            && memoryCounterCapacity == other.memoryCounterCapacity
    }

    /// Reads the certificates of every listener, as the daemon does when it starts.
    public func checkCertificates() throws(TLSFailure) {
        for place in listening {
            if let tls = place.tls { _ = try ServerCertificates(tls, of: "\(place.address)") }
        }
    }

    /// Where it listens.
    var places: String { ([socketPath] + listening.map(\.address.description)).joined(separator: ", ") }

    var place: String { redis.map { "Redis at \($0.description)" } ?? "memory" }

    /// What a running daemon doesn't take over from another configuration.
    func needsRestart(for other: DaemonConfiguration) -> [String] {
        var options: [String] = []
        if socketPath != other.socketPath { options.append("policy_socket") }
        if socketMode != other.socketMode { options.append("policy_socket_mode") }
        if dialects != other.dialects { options.append("policy_socket_dialects") }
        if listening != other.listening { options.append("listen") }
        if workers != other.workers { options.append("workers") }
        if admin != other.admin { options.append("admin.listen") }
        if maximumConnections != other.maximumConnections { options.append("maximum_connections") }
        if decisionLog != other.decisionLog { options.append("decision_log") }
        return options
    }
}
