import Bytes
import EnvoyProtocol
import HTTP2
import PolicyProtocol

/// The gRPC dialect: Envoy's external authorization and rate limit services, and the health service, on HTTP/2.
///
/// `grpc-timeout` is not looked at: a decision has deadlines of its own, and a client that no longer waits resets its stream.
final class GRPCSession: DialectSession {
    /// What a message may have, in bytes: the headers that Envoy admits at most, and room for the rest.
    static let maximumMessageBytes = 128 * 1024
    /// How much of nghttp2's memory is kept from one call to the next.
    private static let maximumSpareBytes = 64 * 1024
    /// How many calls may be open at one time: each may hold a message.
    static let maximumStreams = 1024
    /// Answers that wait for the client's windows, in bytes. Further calls end with a status alone until it has made room.
    static let maximumUnsentBytes = 4 * 1024 * 1024
    private static let maximumSpareCalls = 64

    let output: ByteBuffer
    var hasLateOutput: () -> Void = {}
    private(set) var clientName = "a gRPC client"
    private var isNamed = false

    let judge: any Judge
    let limits: (any RateLimitJudge)?
    let draft: RequestDraft
    let refused = RefusedRequest()
    let answer: EnvoyAnswer
    /// Where the last request's parts lay: it is filled anew for each, and taken out meanwhile.
    var request = CheckRequest()
    /// A response message while it is written, behind its prefix.
    private let response = ByteBuffer(capacity: 1024)

    private let session: ServerSession
    private let maximumInFlight: Int
    private let waiting = OpenQuestions<GRPCCall>()
    // These are taken out while they are changed: an access that lasts would have the short ones checked at run time too (SE-0176).
    /// Calls that are over, to be used again once nobody has them.
    private var spareCalls: [GRPCCall] = []
    /// The calls whose request hasn't come whole, in the order in which they began.
    private var begun: [GRPCCall] = []
    /// The frame that has come in part, and since when.
    private var unfinished: (frame: Int, sinceUnixMilliseconds: Int64)?
    private var isReceiving = false
    private(set) var isLeaving = false
    private(set) var nowUnixMilliseconds: Int64 = 0

    /// - Parameters:
    ///   - limits: who answers the rate limit service; nil where no limits are configured for it.
    ///   - maximumInFlight: how many calls may be without an answer at one time.
    init(_ judge: any Judge, _ limits: (any RateLimitJudge)?, maximumInFlight: Int, output: ByteBuffer) {
        self.judge = judge
        self.limits = limits
        self.maximumInFlight = maximumInFlight
        self.output = output
        draft = RequestDraft(wantedHeaders: judge.wantedHeaders)
        answer = EnvoyAnswer(ownedHeaders: judge.ownedHeaders)
        var sessionLimits = SessionLimits()
        sessionLimits.concurrentStreams = min(maximumInFlight, Self.maximumStreams)
        sessionLimits.headerListBytes = 8 * 1024   // a call's own fields; the request to judge is in its message
        session = ServerSession(sessionLimits, output: output, blocks: SpareBlocks(maximumByteCount: Self.maximumSpareBytes))
    }

    var ending: String? { session.ending }
    var isGreeted: Bool { session.isGreeted }
    var isOver: Bool { session.isOver }

    var awaitedSinceUnixMilliseconds: Int64? {
        guard let call = begun.first?.beganUnixMilliseconds, let frame = unfinished?.sinceUnixMilliseconds else {
            return begun.first?.beganUnixMilliseconds ?? unfinished?.sinceUnixMilliseconds
        }
        return min(call, frame)
    }

    func receive(_ input: ByteBuffer, nowUnixMilliseconds: Int64) {
        self.nowUnixMilliseconds = nowUnixMilliseconds
        isReceiving = true
        session.receive(input, for: self, nowMilliseconds: nowUnixMilliseconds)
        isReceiving = false
        guard let frame = session.unfinishedFrame else { return unfinished = nil }
        if unfinished?.frame != frame { unfinished = (frame, nowUnixMilliseconds) }
    }

    func goAway() {
        isLeaving = true
        session.drain(for: self)
    }

    func end(late input: LateInput) {
        switch input {
        case .greeting(let milliseconds): session.end(.settingsTimeout, because: "no SETTINGS in \(milliseconds) ms")
        case .message(let milliseconds): session.end(.cancel, because: "a frame or a request not complete in \(milliseconds) ms")
        }
    }

    // MARK: Calls that wait for their verdict

    /// - Returns: the ticket that the verdict is to come with.
    func suspend(_ call: GRPCCall) -> UInt64 { waiting.open(call) }

    func call(waitingFor ticket: UInt64) -> GRPCCall? { waiting[ticket] }

    /// The call that waited; nil where there is none, or its client has left it.
    func resume(_ ticket: UInt64) -> GRPCCall? {
        guard let call = waiting[ticket] else { return nil }
        waiting.close(ticket)
        guard call.stream != nil else {
            release(call)
            return nil
        }
        return call
    }

    /// Where a response message is to be written.
    func beginResponse() -> ByteBuffer {
        response.clear()
        GRPCAnswers.beginMessage(in: response)
        return response
    }

    /// Answers with what was written since ``beginResponse()``.
    func respond(_ call: GRPCCall) {
        guard session.unsentByteCount + response.count <= Self.maximumUnsentBytes else {
            return respond(call, GRPCStatus(.resourceExhausted, "more than \(Self.maximumUnsentBytes) bytes of answers unread"))
        }
        if let stream = call.stream { GRPCAnswers.answer(stream, message: response) }
        ended(call)
    }

    func respond(_ call: GRPCCall, _ status: GRPCStatus) {
        if let stream = call.stream { GRPCAnswers.answer(stream, status) }
        ended(call)
    }

    /// Nothing more of the call's request is to come.
    private func requestEnded(_ call: GRPCCall) {
        call.isRequestOver = true
        var begun = exchange(&self.begun, with: [])
        if let index = begun.firstIndex(where: { $0 === call }) { begun.remove(at: index) }
        self.begun = begun
    }

    private func ended(_ call: GRPCCall) {
        call.stream?.context = nil
        release(call)
        guard !isReceiving else { return }
        session.flush(for: self)
        hasLateOutput()
    }

    private func release(_ call: GRPCCall) {
        call.content.clear()
        call.stream = nil
        // A large message must not keep its storage for as long as the connection lasts, and neither may many.
        guard call.content.capacity <= 16 * 1024, spareCalls.count < Self.maximumSpareCalls else { return }
        var spares = exchange(&spareCalls, with: [])
        spares.append(call)
        spareCalls = spares
    }

    private func begin(_ method: GRPCMethod, _ stream: ServerStream) -> GRPCCall {
        var spares = exchange(&spareCalls, with: [])
        defer { spareCalls = spares }
        if var call = spares.popLast(), isKnownUniquelyReferenced(&call) {
            call.begin(method, stream, beganUnixMilliseconds: nowUnixMilliseconds)
            return call
        }
        return GRPCCall(method, stream, beganUnixMilliseconds: nowUnixMilliseconds)
    }
}

extension GRPCSession: StreamHandler {
    func received(_ headers: FieldSection, of stream: ServerStream, isEnd: Bool) {
        let bytes = headers.bytes
        if !isNamed, let agent = headers.first("user-agent") {
            clientName = bytes.extracting(agent.prefix(64)).text
            isNamed = true
        }
        guard headers.has(":method", "POST") else { return refuse(stream, GRPCAnswers.wrongMethod) }
        guard let type = headers.first("content-type"), Self.isGRPC(bytes.extracting(type)) else {
            return refuse(stream, GRPCAnswers.wrongContentType)
        }
        guard let path = headers.first(":path"), let method = GRPCMethod.of(bytes.extracting(path)) else {
            return refuse(stream, GRPCStatus(.unimplemented, "unknown service or method"))
        }
        guard waiting.count < maximumInFlight else {
            return refuse(stream, GRPCStatus(.resourceExhausted, "a call on top of \(maximumInFlight) unanswered ones"))
        }
        let call = begin(method, stream)
        stream.context = call
        var begun = exchange(&self.begun, with: [])
        begun.append(call)
        self.begun = begun
    }

    private static func isGRPC(_ type: Span<UInt8>) -> Bool {
        type.equals("application/grpc") || type.equals("application/grpc+proto")
    }

    func received(_ content: Span<UInt8>, on stream: ServerStream) {
        stream.consume(content.count)
        guard let call = stream.context as? GRPCCall else { return }
        do throws(GRPCStatus) {
            try call.take(content, maximumBytes: Self.maximumMessageBytes)
        } catch {
            requestEnded(call)
            stream.abandonRequest()
            respond(call, error)
        }
    }

    func received(endOf stream: ServerStream) {
        guard let call = stream.context as? GRPCCall else { return }
        requestEnded(call)
        do {
            let message = try call.message()
            switch call.method {
            case .check: try check(call, message)
            case .shouldRateLimit: try limit(call, message)
            case .health: try health(call, message)
            }
        } catch let status as GRPCStatus {
            respond(call, status)
        } catch {
            respond(call, GRPCStatus(.internal, "malformed message: \(error)"))
        }
    }

    func hasRoom(on stream: ServerStream) {}

    func closed(_ stream: ServerStream, _ code: ErrorCode) {
        guard let call = stream.context as? GRPCCall else { return }
        if !call.isRequestOver {
            requestEnded(call)
            release(call)
        }
        call.stream = nil
    }

    /// Answers a request whose content isn't looked at.
    private func refuse(_ stream: ServerStream, _ headers: FieldList) {
        stream.abandonRequest()
        stream.answer(headers, isEnd: true)
    }

    private func refuse(_ stream: ServerStream, _ status: GRPCStatus) {
        stream.abandonRequest()
        GRPCAnswers.answer(stream, status)
    }
}
