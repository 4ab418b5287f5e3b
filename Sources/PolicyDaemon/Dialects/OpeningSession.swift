import Bytes

/// A connection whose first bytes tell its dialect: from then on, the session of that.
final class OpeningSession: DialectSession {
    let output: ByteBuffer
    var hasLateOutput: () -> Void = {}
    private let point: CurrentDecisionPoint
    private let dialects: Set<Dialect>
    private let maximumInFlight: Int
    private var session: (any DialectSession)?
    private var refusal: String?
    private var greeted: GreetedDecisionPoint?
    /// What this client was given to ask, where it speaks gRPC.
    private var rateLimits: RateLimitService?

    /// - Parameters:
    ///   - dialects: those that may be spoken here.
    ///   - maximumInFlight: how many requests may be without an answer at one time.
    init(_ point: CurrentDecisionPoint, dialects: Set<Dialect>, maximumInFlight: Int, output: ByteBuffer) {
        self.point = point
        self.dialects = dialects
        self.maximumInFlight = maximumInFlight
        self.output = output
    }

    var clientName: String { session?.clientName ?? "a client" }
    var ending: String? { refusal ?? session?.ending }
    var isGreeted: Bool { session?.isGreeted ?? false }
    var awaitedSinceUnixMilliseconds: Int64? { session?.awaitedSinceUnixMilliseconds }
    var isOver: Bool { refusal != nil || session?.isOver ?? false }

    func receive(_ input: ByteBuffer, nowUnixMilliseconds: Int64) {
        if session == nil { open(input.bytes) }
        session?.receive(input, nowUnixMilliseconds: nowUnixMilliseconds)
    }

    private func open(_ bytes: Span<UInt8>) {
        switch Dialect.recognise(bytes) {
        case .needsMoreBytes: return
        case .unknown: refuse("its first bytes are those of no dialect")
        case .dialect(let dialect) where !dialects.contains(dialect):
            refuse("it speaks \(dialect.rawValue), which is switched off here")
        case .dialect(let dialect):
            let greeted = GreetedDecisionPoint(point)
            self.greeted = greeted
            if dialect == .grpc { rateLimits = point.rateLimits }
            let session = session(dialect, greeted)
            // An answer that is awaited keeps the session longer than the connection lasts.
            session.hasLateOutput = { [weak self] in self?.hasLateOutput() }
            self.session = session
        }
    }

    private func session(_ dialect: Dialect, _ point: GreetedDecisionPoint) -> any DialectSession {
        switch dialect {
        case .gatehouse: GatehouseSession(point, maximumInFlight: maximumInFlight, output: output)
        case .http: HTTPSession(PolicyJudge(point), maximumInFlight: maximumInFlight, output: output)
        case .grpc: GRPCSession(PolicyJudge(point), rateLimits, maximumInFlight: maximumInFlight, output: output)
        case .spop: SPOPSession(PolicyJudge(point), maximumInFlight: maximumInFlight, output: output)
        }
    }

    private func refuse(_ words: String) { refusal = words }

    func goAway() { session?.goAway() }

    func end(late input: LateInput) {
        if let session { session.end(late: input) } else { refuse("its first bytes did not come in time") }
    }

    /// Whether this client must begin anew, since the policy needs other headers than it was told.
    var isOutdated: Bool {
        if session is GRPCSession, rateLimits !== point.rateLimits { return true }
        return greeted?.isOutdated ?? false
    }
}
