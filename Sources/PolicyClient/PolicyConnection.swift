import Bytes
import EventLoop
import PolicyProtocol

/// One connection to a policy daemon, its HELLOs exchanged.
///
/// One task serves it: ``serve(unless:)`` reads what the daemon sends and keeps the deadlines. Any number of other tasks of
/// the same loop ask through it.
public final class PolicyConnection: TurnFlushing {
    public let session: PolicySession
    private let configuration: PolicyClient.Configuration
    private let socket: Socket
    /// Of the task that serves.
    private let waiter: Waiter
    private let input: ByteBuffer
    private let output = ByteBuffer(capacity: 16 * 1024)
    private var isFlushDue = false

    private let checks = ChecksInFlight()
    private let maximumInFlight: Int
    private var lateInARow = 0
    /// Whether no CHECK is to be sent here any more but for want of another connection.
    private(set) var isLeaving = false
    /// Whether this connection closes as soon as every CHECK on it is answered.
    private(set) var isRetired = false
    /// The PING that asks whether a daemon that counts as down answers again.
    private var probe: (id: UInt32, sentAt: Int64)?
    private var lastProbeID: UInt32 = 0
    /// When ``waiter`` is to be woken; monotonic milliseconds.
    private var alarm = Int64.max
    private var closingWords = ""

    init(
        _ session: PolicySession, _ configuration: PolicyClient.Configuration, _ socket: Socket, _ input: ByteBuffer,
        _ waiter: Waiter
    ) {
        self.session = session
        self.configuration = configuration
        self.socket = socket
        self.input = input
        self.waiter = waiter
        maximumInFlight = min(session.hello.maximumInFlight, configuration.maximumInFlight)
    }

    /// Whether a CHECK may be sent: the daemon is neither leaving nor down, and there is room.
    public var isUsable: Bool { !isLeaving && takesChecks }

    /// Whether a CHECK may be sent for want of another connection: the daemon wants this one to end, and the one that is to
    /// take its place is not there yet.
    var isUsableMeanwhile: Bool { isLeaving && !isRetired && takesChecks }

    private var takesChecks: Bool {
        socket.isOpen && !isDown && checks.nextID != nil && checks.count < maximumInFlight && checks.hasRoom
            && output.count < configuration.maximumUnsentBytes
    }

    /// Whether so many answers in a row were late that none is waited for until one is in time or a probe is answered.
    private var isDown: Bool { lateInARow >= configuration.lateAnswersUntilDown }

    // MARK: Asking

    /// Writes one CHECK, to be sent at the end of this turn. `check` waits for the answer with ``PendingCheck/wait()``.
    ///
    /// On a connection that is not usable (``isUsable``), or where the request is larger than a frame may be, the check is lost at once.
    ///
    /// - Parameter headers: adds the headers that ``PolicySession/wantedHeaders`` names, as far as the request has them.
    public func send(
        _ check: PendingCheck, method: Span<UInt8>, scheme: RequestScheme, authority: Span<UInt8>, target: Span<UInt8>,
        peerAddress: Span<UInt8>, peerPort: UInt16?, headers: (inout CheckWriter) -> Void
    ) {
        guard isUsable || isUsableMeanwhile, let id = checks.nextID else {
            return check.lose(before: session, .disconnected("it takes no CHECK now"))
        }
        var writer = CheckWriter(
            id: id, method: method, scheme: scheme, authority: authority, target: target, peerAddress: peerAddress,
            peerPort: peerPort, to: output, maximumFrameBytes: session.hello.maximumFrameBytes)
        headers(&writer)
        do throws(ProtocolError) { try writer.finish() } catch { return check.lose(before: session, .tooLarge) }
        let deadline = waiter.loop.nowMilliseconds + configuration.deadlineMilliseconds
        check.begin(id, session)
        checks.add(check, deadline: deadline)
        // The ids are used up: let this connection drain, and another one take its place.
        if checks.nextID == nil { isLeaving = true }
        setAlarm(at: deadline)
        sendSoon()
    }

    /// Sends what a turn collects in one go, at its end; sooner where it is plenty.
    private func sendSoon() {
        if output.count >= Self.plentyBytes { return sendOutput() }
        guard !isFlushDue else { return }
        isFlushDue = true
        waiter.loop.flushAtEndOfTurn(self)
    }

    /// Enough for one system call: more of it would only keep the daemon waiting.
    private static let plentyBytes = 64 * 1024

    public func flush() {
        isFlushDue = false
        sendOutput()
    }

    private func sendOutput() {
        guard socket.isOpen, socket.isWritable else { return }
        if case .failed(let code) = socket.send(output) { close(because: SystemError.text(of: code)) }
    }

    // MARK: Serving

    /// Reads verdicts until the connection ends, and says why it did. What then still waits for one is lost.
    ///
    /// - Parameter isStopping: whether to end it from this side; wake all of the loop's waiters when that changes.
    public func serve(unless isStopping: () -> Bool = { false }) async -> String {
        if await serveUntilLeaving(unless: isStopping) == nil {
            retire()
            await serveToTheEnd(unless: isStopping)
        }
        return closingWords
    }

    /// As ``serve(unless:)``, but returns nil as soon as the daemon wants the connection to end: it is to be served on then,
    /// with ``serveToTheEnd(unless:)``.
    func serveUntilLeaving(unless isStopping: () -> Bool) async -> String? {
        // Frames may have come in one piece with the HELLO; no event would announce them again.
        readFrames()
        await serve(while: { !isLeaving }, unless: isStopping)
        return socket.isOpen ? nil : closingWords
    }

    /// Serves a connection that its daemon wants to end, until it has.
    func serveToTheEnd(unless isStopping: () -> Bool) async {
        await serve(while: { true }, unless: isStopping)
    }

    private func serve(while goesOn: () -> Bool, unless isStopping: () -> Bool) async {
        while true {
            if socket.isReadable { receive() }
            if waiter.isDue { keepDeadlines() }
            if isStopping() { close(because: "this client is stopping") }
            if isRetired, checks.waitingCount == 0 { close(because: "the daemon is draining") }
            if !output.isEmpty, !isFlushDue { sendOutput() }
            guard socket.isOpen, goesOn() else { break }
            // More may be there than one receive took, but those that have been answered come first.
            if socket.isReadable { await waiter.yieldTurn() } else { await waiter.park() }
        }
        if !socket.isOpen { waiter.clearDeadline() }
    }

    /// Sends no CHECK here any more, whatever else there is, and closes once all are answered.
    func retire() {
        isLeaving = true
        isRetired = true
        waiter.wake()
    }

    private func close(because reason: String) {
        guard socket.isOpen else { return }
        closingWords = reason
        socket.close()
        output.clear()
        for (check, id) in checks.removeAll() { check.lose(id, of: session, .disconnected(reason)) }
        waiter.wake()
    }

    private func receive() {
        switch socket.receive(into: input, room: 32 * 1024) {
        case .received: readFrames()
        case .wouldBlock: break
        case .ended: close(because: "the daemon closed the connection")
        case .failed(let code): close(because: SystemError.text(of: code))
        }
    }

    private func readFrames() {
        do throws(ProtocolError) {
            while socket.isOpen, try readFrame() {}
        } catch {
            // Tell the other side what it did wrong, as far as one send goes.
            try? ErrorReport(error).encode(to: output)
            _ = socket.send(output)
            close(because: "\(error)")
        }
    }

    /// Reads one frame off the input; false where there is no whole one.
    private func readFrame() throws(ProtocolError) -> Bool {
        let limit = session.hello.maximumFrameBytes
        let input = self.input
        let bytes = input.bytes
        guard case .frame(let header) = try FrameHeader.parse(bytes, maximumFrameBytes: limit) else { return false }
        try handle(header, bytes.extracting(header.payloadRange))
        input.consume(header.frameByteCount)
        return true
    }

    private func handle(_ header: FrameHeader, _ payload: Span<UInt8>) throws(ProtocolError) {
        switch header.type {
        case .verdict:
            // One that comes too late says nothing of the daemon's being up again.
            guard let check = try checks.answer(header.id) else { return }
            lateInARow = 0
            check.answer(payload, to: header.id, of: session)
        case .ping:
            try Ping.parse(payload)
            answerPing(header.id)
        case .pong:
            try Ping.parse(payload)
            guard let probe, probe.id == header.id else { return }
            self.probe = nil
            lateInARow = 0
        case .goAway:
            _ = try GoAway.parse(payload)
            isLeaving = true
        case .error:
            let report = try ErrorReport.parse(payload, id: header.id)
            close(because: "the daemon reports \(report.code): \(report.message)")
        case .hello, .check:
            throw ProtocolError(.frameUnexpected, "a frame that no daemon sends here")
        case nil: break
        }
    }

    private func answerPing(_ id: UInt32) {
        guard output.count < configuration.maximumUnsentBytes else {
            return close(because: "the daemon sends and does not read")
        }
        Ping.encodeAnswer(id: id, to: output)
        sendSoon()
    }

    // MARK: Deadlines

    private func setAlarm(at time: Int64) {
        guard time < alarm else { return }
        alarm = time
        waiter.setDeadline(afterMilliseconds: time - waiter.loop.nowMilliseconds)
    }

    /// Gives up what has waited too long, asks a daemon that is late too often whether it is there, and ends a connection
    /// that has been silent for too long.
    private func keepDeadlines() {
        let now = waiter.loop.nowMilliseconds
        alarm = .max
        waiter.clearDeadline()
        while let (check, id) = checks.giveUpNext(now: now) {
            lateInARow += 1
            check.lose(id, of: session, .late(milliseconds: configuration.deadlineMilliseconds))
        }
        if isDown, probe == nil { sendProbe(now) }
        let silentSince = min(checks.oldestGivenUp ?? .max, probe?.sentAt ?? .max)
        if silentSince < .max {
            let end = silentSince + configuration.silenceMilliseconds
            guard end > now else {
                return close(because: "no answer for more than \(configuration.silenceMilliseconds) ms")
            }
            setAlarm(at: end)
        }
        if let next = checks.nextDeadline { setAlarm(at: next) }
    }

    /// Asks in the background whether the daemon answers again; no request waits for it meanwhile.
    private func sendProbe(_ now: Int64) {
        lastProbeID &+= 1
        probe = (lastProbeID, now)
        Ping.encode(id: lastProbeID, to: output)
        sendSoon()
    }
}
