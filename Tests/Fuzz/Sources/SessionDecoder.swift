import Bytes
import Counters
import EventLoop
import Logging
import Telemetry

@testable import PolicyDaemon

/// A connection to the daemon in one dialect: the real rules, tokens and counters behind it, and no socket.
struct SessionDecoder: Decoding {
    private static let configuration = """
        jwt: { secret: end-to-end-secret-of-more-than-32-bytes }
        credentials: [header authorization Bearer, cookie session, query access_token]
        limit: { count: 1000000 }
        rate_limit_service:
          gatehouse:
            per-address: { descriptor: [remote_address], count: 1000000, window_seconds: 60 }
            posts: { descriptor: ["method=POST", remote_address], count: 3, window_seconds: 60, algorithm: sliding-log }
        """
    /// 2026-01-01
    private static let now: Int64 = 1_767_225_600_000
    /// More than any input can be answered with.
    private static let mostOutputBytes = 64 * 1024 * 1024

    private let point: CurrentDecisionPoint
    private let dialect: Dialect

    init(_ dialect: Dialect) throws {
        self.dialect = dialect
        let logger = Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() }
        let configuration = try DaemonConfiguration.read(text: Self.configuration, environment: [:])
        let registry = MetricRegistry()
        let setup = try Setup(configuration, replacing: nil, registry: registry, decisionLog: nil, logger: logger)
        let counters = CounterStore(setup.counting, loop: try EventLoop(), logger: logger)
        let decisions = DecisionPoint(
            rules: configuration.rules, authenticator: Authenticator(setup.authentication), counters: counters,
            observer: WorkerObserver(setup.metrics, registry.makeWorkerMetrics(), log: nil, isTimed: false))
        point = CurrentDecisionPoint(decisions, rateLimits: RateLimitService(configuration.rateLimits, counters: counters))
    }

    /// In two pieces, cut where the last byte says; then the client is late, or has to leave.
    func decode(_ bytes: Span<UInt8>) {
        guard bytes.count > 0 else { return }
        let last = Int(bytes[bytes.count - 1])
        let session = OpeningSession(point, dialects: [dialect], maximumInFlight: 64, output: ByteBuffer(capacity: 1024))
        let input = ByteBuffer(capacity: 256)
        for piece in [0..<last % bytes.count, last % bytes.count..<bytes.count] where !session.isOver {
            input.append(bytes.extracting(piece))
            session.receive(input, nowUnixMilliseconds: Self.now)
        }
        if last & 1 == 0 { session.goAway() } else { session.end(late: .message(milliseconds: 1)) }
        precondition(session.output.count < Self.mostOutputBytes, "an answer of \(session.output.count) bytes")
    }
}
