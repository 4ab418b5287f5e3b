import Bytes
import Policy
import PolicyProtocol

/// One client's side of our own protocol: frames in, frames out, and no socket.
final class GatehouseSession: DialectSession, DecisionReceiver {
    private enum Stage {
        case greeting
        case serving
        /// An ERROR was written or received: the connection is to be closed.
        case over
    }

    /// What the client is to be sent.
    let output: ByteBuffer
    /// Called where an answer was written outside of ``receive(_:nowUnixMilliseconds:)``.
    var hasLateOutput: () -> Void = {}
    /// What the client calls itself.
    private(set) var clientName = "a client"
    /// Why the session ended, for the log; nil while it goes on.
    private(set) var ending: String?

    private let point: GreetedDecisionPoint
    private let maximumInFlight: Int
    private var maximumFrameBytes = ProtocolLimits.helloBytes
    private var stage = Stage.greeting
    private var ids = CheckIDs()
    /// CHECKs without an answer.
    private var inFlight = 0
    private var now: Int64 = 0
    private var parts = RequestParts()

    /// - Parameter maximumInFlight: how many CHECKs may be without an answer at one time.
    init(_ point: GreetedDecisionPoint, maximumInFlight: Int, output: ByteBuffer) {
        self.point = point
        self.maximumInFlight = maximumInFlight
        self.output = output
    }

    var isGreeted: Bool { stage != .greeting }
    var isOver: Bool { stage == .over }

    /// Reads every whole frame of `input` and answers what can be answered at once.
    func receive(_ input: ByteBuffer, nowUnixMilliseconds: Int64) {
        while stage != .over {
            var id: UInt32 = 0
            do throws(ProtocolError) {
                guard case .frame(let header) = try FrameHeader.parse(input.bytes, maximumFrameBytes: maximumFrameBytes)
                else { return }
                id = header.id
                try read(header, input.bytes.extracting(header.payloadRange), nowUnixMilliseconds)
                input.consume(header.frameByteCount)
            } catch {
                end(with: error, id: id)
            }
        }
    }

    /// Asks the client to leave. What still arrives is answered as before.
    func goAway() {
        guard stage == .serving else { return }
        try? GoAway(message: "the daemon stops, or greets anew").encode(to: output)
    }

    func end(late input: LateInput) {
        switch input {
        case .greeting(let milliseconds): end(with: ProtocolError(.helloLate, "no HELLO in \(milliseconds) ms"))
        case .message(let milliseconds): end(with: ProtocolError(.frameMalformed, "a frame not complete in \(milliseconds) ms"))
        }
    }

    /// Ends the session with an ERROR.
    private func end(with error: ProtocolError, id: UInt32 = 0) {
        guard stage != .over else { return }
        stage = .over
        ending = error.description
        try? ErrorReport(error, id: id).encode(to: output)
    }

    private func read(_ header: FrameHeader, _ payload: Span<UInt8>, _ now: Int64) throws(ProtocolError) {
        guard let type = header.type else { return }
        switch (type, stage) {
        case (.check, .serving): try check(header.id, payload, now)
        case (.hello, .greeting): try greet(payload)
        case (.ping, .serving):
            try Ping.parse(payload)
            Ping.encodeAnswer(id: header.id, to: output)
        case (.pong, .serving): try Ping.parse(payload)
        case (.error, _):
            let report = try ErrorReport.parse(payload, id: header.id)
            stage = .over
            ending = "the client reports \(report.code): \(report.message)"
        case (_, .greeting): throw ProtocolError(.helloExpected, "another frame where a HELLO was expected")
        default: throw ProtocolError(.frameUnexpected, "a frame of type \(type) from a client that has been greeted")
        }
    }

    private func greet(_ payload: Span<UInt8>) throws(ProtocolError) {
        let hello = try ClientHello.parse(payload)
        let agreed = try hello.agree()
        let greeting = Greeting(point.decisions.rules)
        try DaemonHello(
            name: "gatehouse-policyd", version: agreed.version, maximumFrameBytes: agreed.maximumFrameBytes,
            maximumInFlight: maximumInFlight, wantedHeaders: greeting.wantedHeaders, ownedHeaders: greeting.ownedHeaders
        ).encode(to: output)
        clientName = hello.name.isEmpty ? "a client" : hello.name
        maximumFrameBytes = agreed.maximumFrameBytes
        stage = .serving
    }

    private func check(_ id: UInt32, _ payload: Span<UInt8>, _ now: Int64) throws(ProtocolError) {
        // Taken out and put back, here and below: so what every request touches needs no check at run time for being touched twice.
        var ids = ids
        try ids.admit(id)
        self.ids = ids
        guard inFlight < maximumInFlight else {
            throw ProtocolError(.inFlightExceeded, "a CHECK on top of \(maximumInFlight) unanswered ones")
        }
        self.now = now
        let decisions = point.decisions
        var parts = exchange(&self.parts, with: RequestParts())
        defer { self.parts = parts }
        do throws(ProtocolError) {
            try parts.read(checkIn: payload)
        } catch {
            decisions.noteMalformed()
            return answer(id, decisions.rules.checkMalformed)
        }
        let request = RequestView(parts, in: payload)
        if let decision = decisions.judge(request, nowUnixMilliseconds: now, receiver: self, ticket: UInt64(id)) {
            answer(id, decision)
        } else {
            inFlight += 1
        }
    }

    func decided(_ decision: Policy.Decision, ticket: UInt64) {
        inFlight -= 1
        guard stage == .serving else { return }
        answer(UInt32(truncatingIfNeeded: ticket), decision)
        hasLateOutput()
    }

    private func answer(_ id: UInt32, _ decision: Policy.Decision) {
        output.append(verdictOn: id, decision, decision.template(), nowUnixMilliseconds: now, maximumFrameBytes: maximumFrameBytes)
    }
}

extension CertificateParts {
    fileprivate convenience init(_ field: CertificateField) {
        let names = field.names.map { name in
            let kind: CertificateFact = switch name.kind {
            case .domain: .dns
            case .uri: .uri
            case .email: .email
            }
            return Name(kind, name.text.range)
        }
        self.init(fingerprint: field.fingerprint.range, subject: field.subject.range, names: names)
    }
}

extension RequestParts {
    /// Takes over the places of a CHECK's fields.
    fileprivate mutating func read(checkIn payload: Span<UInt8>) throws(ProtocolError) {
        headers.removeAll(keepingCapacity: true)
        let check = try CheckMessage.parse(payload) { header in
            headers.append(Header(name: header.name.range, value: header.value.range))
        }
        method = check.method.range
        authority = check.authority.range
        setTarget(check.target.range, in: payload)
        clientAddress = check.peerAddress.range
        certificate = check.certificate.map(CertificateParts.init)
    }
}
