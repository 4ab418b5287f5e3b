import Bytes
import Policy
import PolicyProtocol
import Telemetry

@testable import PolicyDaemon

/// A session with a stand-in for the store, and what a client would send to it.
final class Conversation {
    let counter = StandInCounter()
    let point: CurrentDecisionPoint
    let session: GatehouseSession
    let input = ByteBuffer(capacity: 4096)
    let registry = MetricRegistry()
    private let worker: WorkerMetrics
    private let maximumWaiting: Int
    private var setup: Setup

    convenience init(limit: Int, windowSeconds: Int = 60, maximumInFlight: Int = 100, isGreeted: Bool = true) throws {
        try self.init(
            "limit: { count: \(limit), window_seconds: \(windowSeconds) }\nlimit_headers: { ratelimit: false }",
            maximumInFlight: maximumInFlight, isGreeted: isGreeted)
    }

    /// - Parameters:
    ///   - configuration: as a file would hold it.
    ///   - maximumWaiting: how many judgements may wait for the store.
    init(
        _ configuration: String, maximumInFlight: Int = 100, isGreeted: Bool = true,
        maximumWaiting: Int = SuspendedJudgements.maximumCapacity
    ) throws {
        setup = try PolicyDaemonTests.setup(configuration, registry: registry)
        worker = registry.makeWorkerMetrics()
        self.maximumWaiting = maximumWaiting
        point = CurrentDecisionPoint(Self.point(setup, counter, worker, maximumWaiting))
        session = GatehouseSession(GreetedDecisionPoint(point), maximumInFlight: maximumInFlight, output: ByteBuffer(capacity: 4096))
        guard isGreeted else { return }
        try ClientHello(name: "test").encode(to: input)
        _ = try answers()
    }

    private static func point(_ setup: Setup, _ counter: StandInCounter, _ worker: WorkerMetrics, _ maximumWaiting: Int) -> DecisionPoint {
        DecisionPoint(
            rules: setup.configuration.rules, authenticator: Authenticator(setup.authentication), counters: counter,
            observer: WorkerObserver(setup.metrics, worker, log: nil, isTimed: false), maximumWaiting: maximumWaiting)
    }

    /// Swaps the configuration, as a worker does.
    func adopt(_ configuration: String) throws {
        setup = try PolicyDaemonTests.setup(configuration, replacing: setup, registry: registry)
        point.decisions = Self.point(setup, counter, worker, maximumWaiting)
    }

    func check(_ id: UInt32, _ authorization: String..., target: String = "/api/projects", headers: [(String, String)] = []) throws {
        try appendCheck(id, authorization, target: target, headers: headers, to: input)
    }

    func answers(at moment: Int64 = now) throws -> [ReadFrame] {
        session.receive(input, nowUnixMilliseconds: moment)
        return try readFrames(session.output)
    }

    func verdict(
        _ id: UInt32, _ authorization: String..., method: String = "GET", target: String = "/api/projects", peer: String = "127.0.0.1",
        headers: [(String, String)] = [], at moment: Int64 = now
    ) throws -> ReadVerdict {
        try appendCheck(id, authorization, method: method, target: target, peer: peer, headers: headers, to: input)
        guard case .verdict(id, let verdict)? = try answers(at: moment).first else {
            throw ProtocolError(.frameUnexpected, "no verdict")
        }
        return verdict
    }
}
