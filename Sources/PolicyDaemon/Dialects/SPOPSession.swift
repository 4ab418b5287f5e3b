import Bytes
import HTTPMessage
import PolicyProtocol

/// The SPOP dialect: an agent of HAProxy's that answers each NOTIFY with an ACK, in whatever order verdicts come.
final class SPOPSession: DialectSession, VerdictReceiver {
    private enum Stage {
        case greeting
        case serving
        /// A DISCONNECT was written, or a health check answered: the connection is to be closed.
        case over
    }

    let output: ByteBuffer
    var hasLateOutput: () -> Void = {}
    private(set) var clientName = "HAProxy"
    private(set) var ending: String?

    private let judge: any Judge
    private let maximumInFlight: Int
    private let draft: RequestDraft
    private let refused = RefusedRequest()
    private let answer: SPOPAnswer
    private var maximumFrameBytes = SPOPHello.byteCount
    private var stage = Stage.greeting
    private let waiting = OpenQuestions<SPOPFrameIDs>()
    private var isReceiving = false
    private var isLeaving = false

    /// - Parameter maximumInFlight: how many NOTIFYs may be without an ACK at one time.
    init(_ judge: any Judge, maximumInFlight: Int, output: ByteBuffer) {
        self.judge = judge
        self.maximumInFlight = maximumInFlight
        self.output = output
        draft = RequestDraft(wantedHeaders: judge.wantedHeaders)
        answer = SPOPAnswer(ownedHeaders: judge.ownedHeaders)
    }

    var isGreeted: Bool { stage != .greeting }
    var isOver: Bool { stage == .over }

    func receive(_ input: ByteBuffer, nowUnixMilliseconds: Int64) {
        isReceiving = true
        defer { isReceiving = false }
        while stage != .over {
            do throws(SPOPError) {
                let bytes = input.bytes
                guard let frame = try SPOPFrame.parse(bytes, maximumBytes: maximumFrameBytes) else { return }
                try read(frame, bytes, nowUnixMilliseconds)
                input.consume(frame.payload.upperBound)
            } catch {
                end(error)
            }
        }
    }

    private func read(_ frame: SPOPFrame, _ bytes: Span<UInt8>, _ now: Int64) throws(SPOPError) {
        guard let type = frame.type else { return }
        guard frame.isFinal, type != .unset else {
            throw SPOPError(.fragmented, "a fragment of a frame, accepted: whole frames, as no fragmentation was agreed upon")
        }
        switch (type, stage) {
        case (.haproxyHello, .greeting): try greet(bytes, frame.payload)
        case (.notify, .serving): try check(frame, bytes, now)
        case (.haproxyDisconnect, _): try leave(bytes, frame.payload)
        case (_, .greeting): throw SPOPError(.frameInvalid, "a frame of type \(type) where a HELLO was expected")
        default: throw SPOPError(.frameInvalid, "a frame of type \(type) from a HAProxy that has been greeted")
        }
    }

    private func greet(_ bytes: Span<UInt8>, _ payload: Range<Int>) throws(SPOPError) {
        let hello = try SPOPHello.parse(bytes, payload)
        maximumFrameBytes = min(hello.maximumFrameBytes, ProtocolLimits.defaultFrameBytes)
        hello.encodeAnswer(maximumFrameBytes: maximumFrameBytes, to: output)
        if !hello.engine.isEmpty { clientName = "HAProxy \(hello.engine)" }
        stage = hello.isHealthCheck ? .over : .serving
    }

    private func check(_ frame: SPOPFrame, _ bytes: Span<UInt8>, _ now: Int64) throws(SPOPError) {
        guard waiting.count < maximumInFlight else {
            throw SPOPError(.exhausted, "a NOTIFY on top of \(maximumInFlight) unanswered ones")
        }
        let check = try SPOPCheck.parse(bytes, frame.payload)
        let ticket = waiting.open(frame.ids)
        do {
            try check.read(bytes, into: draft)
        } catch let refusal as MessageRefusal {
            judge.noteRefused()
            return refused.deny(refusal) { payload, message in verdict(payload, message, ticket: ticket) }
        } catch let error as SPOPError {
            throw error
        } catch {
            throw SPOPError(.frameInvalid, "\(error)")
        }
        let buffer = draft.buffer
        judge.judge(draft.parts, buffer.bytes, nowUnixMilliseconds: now, receiver: self, ticket: ticket)
    }

    func verdict(_ payload: Span<UInt8>, _ message: VerdictMessage, ticket: UInt64) {
        guard let ids = waiting[ticket] else { return }
        waiting.close(ticket)
        guard stage == .serving else { return }
        answer.write(payload, message, ids: ids, maximumFrameBytes: maximumFrameBytes, to: output)
        answered()
    }

    func allowed(_ allow: RepeatedAllow, ticket: UInt64) -> Bool {
        guard let ids = waiting[ticket], stage == .serving,
            answer.write(allow, ids: ids, maximumFrameBytes: maximumFrameBytes, to: output)
        else { return false }
        waiting.close(ticket)
        answered()
        return true
    }

    private func answered() {
        if isLeaving, waiting.isEmpty { disconnect(.normal, "the daemon is stopping") }
        if !isReceiving { hasLateOutput() }
    }

    private func leave(_ bytes: Span<UInt8>, _ payload: Range<Int>) throws(SPOPError) {
        var reader = SPOPReader(payload)
        var (code, text) = (UInt64(0), "")
        while !reader.isAtEnd {
            let name = bytes.extracting(try reader.string(bytes))
            switch try reader.value(bytes) {
            case .integer(let number) where name.equals("status-code"): code = number
            case .string(let range) where name.equals("message"): text = bytes.extracting(range).text
            default: continue
            }
        }
        if code != 0 { ending = "HAProxy reports \(code): \(text)" }
        disconnect(.normal, "")
    }

    func goAway() {
        guard stage != .over else { return }
        isLeaving = true
        if waiting.isEmpty { disconnect(.normal, "the daemon is stopping") }
    }

    func end(late input: LateInput) {
        switch input {
        case .greeting(let milliseconds): end(SPOPError(.timeout, "no HELLO in \(milliseconds) ms"))
        case .message(let milliseconds): end(SPOPError(.timeout, "a frame not complete in \(milliseconds) ms"))
        }
    }

    private func end(_ error: SPOPError) {
        guard stage != .over else { return }
        ending = error.description
        disconnect(error.code, error.message)
    }

    private func disconnect(_ code: SPOPError.Code, _ message: String) {
        stage = .over
        let text = Array(message.utf8)
        output.append(.agentDisconnect, SPOPFrameIDs()) { frame in
            frame.append(spopName: "status-code")
            frame.append(spopUInt32: code.rawValue)
            frame.append(spopName: "message")
            frame.append(spopString: text.span)
        }
    }
}
