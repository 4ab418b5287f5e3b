import Bytes
import Counters
import Policy
import PolicyProtocol

/// One client's side of the policy protocol: frames in, frames out, and no socket.
final class ClientSession: CountReceiver {
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

    private let decisions: DecisionPoint
    private let maximumInFlight: Int
    private var maximumFrameBytes = ProtocolLimits.helloBytes
    private var stage = Stage.greeting
    private var ids = CheckIDs()
    private var suspended = SuspendedChecks()

    /// - Parameter maximumInFlight: how many CHECKs may be without an answer at one time.
    init(_ decisions: DecisionPoint, maximumInFlight: Int, output: ByteBuffer) {
        self.decisions = decisions
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

    /// Says that the daemon wants to stop. What still arrives is answered as before.
    func goAway() {
        guard stage == .serving else { return }
        try? GoAway(message: "the daemon is stopping").encode(to: output)
    }

    /// Ends the session with an ERROR, for a reason that lies outside of the frames.
    func end(with error: ProtocolError, id: UInt32 = 0) {
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
        try DaemonHello(
            name: "gatehouse-policyd", version: agreed.version, maximumFrameBytes: agreed.maximumFrameBytes,
            maximumInFlight: maximumInFlight, wantedHeaders: Policy.Decision.wantedHeaders,
            ownedHeaders: IdentityHeaders.all.map { String(decoding: $0, as: UTF8.self) }
        ).encode(to: output)
        clientName = hello.name.isEmpty ? "a client" : hello.name
        maximumFrameBytes = agreed.maximumFrameBytes
        stage = .serving
    }

    private func check(_ id: UInt32, _ payload: Span<UInt8>, _ now: Int64) throws(ProtocolError) {
        try ids.admit(id)
        guard suspended.count < maximumInFlight else {
            throw ProtocolError(.inFlightExceeded, "a CHECK on top of \(maximumInFlight) unanswered ones")
        }
        do throws(ProtocolError) {
            _ = try CheckMessage.parse(payload)
        } catch {
            return answer(id, decisions.rules.checkMalformed, nil)
        }
        var judgement = decisions.begin(nowUnixMilliseconds: now)
        if let decision = decisions.judge(payload, in: &judgement, receiver: self, ticket: suspended.nextTicket) {
            answer(id, decision, judgement.token)
        } else {
            suspended.suspend(SuspendedChecks.Check(id: id, judgement: judgement))
        }
    }

    func counted(ticket: UInt64, _ result: CountResult) {
        guard var check = suspended.resume(ticket) else { return }
        // Also where the client has gone: a hit above the limit must be given back all the same.
        let decision = decisions.counted(result, ending: &check.judgement)
        guard stage == .serving else { return }
        answer(check.id, decision, check.judgement.token)
        hasLateOutput()
    }

    private func answer(_ id: UInt32, _ decision: Policy.Decision, _ token: KnownToken?) {
        do throws(ProtocolError) {
            try decision.encode(id: id, token: token, to: output, maximumFrameBytes: maximumFrameBytes)
        } catch {
            // A denial of a few hundred bytes fits into the smallest frame size there is.
            try? decisions.rules.verdictTooLarge.encode(
                id: id, token: nil, to: output, maximumFrameBytes: maximumFrameBytes)
        }
    }
}
