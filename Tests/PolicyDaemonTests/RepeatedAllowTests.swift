import Bytes
import Policy
import Telemetry
import Testing

@testable import PolicyDaemon

/// A daemon's answers to questions in one dialect on one connection.
struct Asking {
    enum Question: String, CaseIterable, CustomTestStringConvertible {
        case nginx, forward, envoy, grpc, spop

        var testDescription: String { rawValue }
    }

    /// What a reload leaves as it is: the counts, and the identities that are known.
    private struct Worker {
        let counter: StandInCounter
        let decisions: (PolicyRules) -> DecisionPoint
    }

    private let worker: Worker
    private let session: OpeningSession
    private let question: Question
    private let point: CurrentDecisionPoint
    private var count = 0

    init(_ question: Question, _ configuration: String) throws {
        let registry = MetricRegistry()
        let setup = try setup(configuration, registry: registry)
        let (counter, authenticator) = (StandInCounter(), Authenticator(setup.authentication))
        let observer = WorkerObserver(setup.metrics, registry.makeWorkerMetrics(), log: nil, isTimed: false)
        let worker = Worker(counter: counter) { rules in
            DecisionPoint(rules: rules, authenticator: authenticator, counters: counter, observer: observer)
        }
        self.init(question, worker, CurrentDecisionPoint(worker.decisions(setup.configuration.rules)))
    }

    private init(_ question: Question, _ worker: Worker, _ point: CurrentDecisionPoint) {
        self.worker = worker
        self.question = question
        self.point = point
        session = OpeningSession(point, dialects: Set(Dialect.allCases), maximumInFlight: 16, output: ByteBuffer(capacity: 1024))
        switch question {
        case .grpc: _ = send(GRPCConversation.preface)
        case .spop: _ = send(hello())
        case .nginx, .forward, .envoy: break
        }
    }

    var counter: StandInCounter { worker.counter }

    /// On another connection to the same worker.
    func another() -> Asking { Asking(question, worker, point) }

    /// Has the worker go by other rules, for the identities that it knows.
    func reload(_ configuration: String) throws { point.decisions = worker.decisions(try setup(configuration).configuration.rules) }

    /// The bytes of the answer.
    mutating func ask(_ user: String, fields: [(String, String)] = []) throws -> [UInt8] {
        let fields = [("authorization", try bearer(user))] + fields
        let lines = fields.map { "\($0.0): \($0.1)" }.joined(separator: "\r\n")
        count += 1
        switch question {
        case .nginx: return send(Array(nginx("/api", lines).utf8))
        case .forward: return send(Array(forward("/api", lines).utf8))
        case .envoy:
            return send(Array("GET /envoy/api HTTP/1.1\r\nHost: example.com\r\nX-Original-Address: 192.0.2.7\r\n\(lines)\r\n\r\n".utf8))
        case .grpc:
            let stream = 2 * count - 1
            let head = GRPCConversation.head("/envoy.service.auth.v3.Authorization/Check", stream: stream)
            return send(
                head + GRPCConversation.frame(0, 1, stream, GRPCConversation.prefixed(GRPCConversation.check("/api", fields))))
        case .spop:
            return send(
                notify(
                    arguments(target: "/api", headers: [("host", "example.com")] + fields),
                    ids: SPOPFrameIDs(stream: UInt64(count), frame: 1)))
        }
    }

    private func send(_ bytes: [UInt8]) -> [UInt8] {
        let input = ByteBuffer(capacity: 1024)
        input.append(bytes)
        session.receive(input, nowUnixMilliseconds: now)
        let output = session.output
        defer { output.clear() }
        return output.bytes.array
    }
}

@Suite struct `An allow that was given before` {
    private static let configurations = [
        "limit: { count: 100, window_seconds: 60 }",
        "limit_headers: { x_ratelimit: false }",
        "limit_headers: { x_ratelimit: false, ratelimit: false }",
        // One limit is told of by its own, the other counts by the request; and one header is made something else of.
        """
        limits:
          user: { key: [subject], count: 10, window_seconds: 60 }
          address: { key: [client.ip], count: 5, window_seconds: 60 }
        rules:
          all:
            path: /**
            limits: [user, address]
            response_headers: { ratelimit: none, x-rule: "${claim.userId}" }
        """,
    ]

    /// The order is not the same, so that what is compared is how often each byte is there.
    @Test(arguments: Asking.Question.allCases, configurations)
    func `says what the first one said, but for the limits' standing`(_ question: Asking.Question, _ configuration: String) throws {
        var often = try Asking(question, configuration)
        for _ in 0..<3 { _ = try often.ask("usr_1") }
        let later = try often.ask("usr_1")
        let counted = often.counter.counts
        var once = try Asking(question, configuration)
        for _ in 0..<3 { _ = try once.ask("usr_2") }
        once.counter.counts = counted.mapValues { $0 - 1 }
        let first = try once.ask("usr_1")
        #expect(later.sorted() == first.sorted(), "\(String(decoding: later, as: UTF8.self)) \(String(decoding: first, as: UTF8.self))")
        #expect(later.count > 60)
    }

    /// Which headers are the policy's is said in those words: what was kept for a client that was told of fewer would let a forged one through.
    @Test(arguments: Asking.Question.allCases)
    func `is not told in words that were kept for a client who was greeted otherwise`(_ question: Asking.Question) throws {
        let untold = "limit_headers: { x_ratelimit: false, ratelimit: false }\nidentity_headers: { x-user-id: userId"
        let (before, after) = (untold + " }", untold + ", x-tenant: tenant }")
        var expected = try [Asking(question, before), Asking(question, after)]
        var elder = try Asking(question, before)
        _ = try expected[0].ask("usr_1")
        _ = try elder.ask("usr_1")
        try elder.reload(after)
        var younger = elder.another()
        for _ in 0..<4 {
            #expect(try elder.ask("usr_1") == expected[0].ask("usr_1"))
            #expect(try younger.ask("usr_1") == expected[1].ask("usr_1"))
        }
        #expect(try younger.ask("usr_1").count != elder.ask("usr_1").count)
    }

    /// Such a header can't be named beforehand.
    @Test func `takes out what a backend may fold into a header of the policy's`() throws {
        var asking = try Asking(.grpc, "")
        var answers: [String] = []
        for fields in [[], [("x_user_id", "root")], []] {
            answers.append(String(decoding: try asking.ask("usr_1", fields: fields), as: UTF8.self))
        }
        #expect(answers.map { $0.contains("x_user_id") } == [false, true, false])
    }
}
