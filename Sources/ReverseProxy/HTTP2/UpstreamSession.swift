import Bytes
import EventLoop
import HTTP2
import HTTPMessage
import TLS

/// A worker's HTTP/2 connection to an upstream, shared by many exchanges.
final class UpstreamSession {
    private static let outputBytes = 64 * 1024
    private static let roundsPerTurn = 16
    private static let flushesPerTurn = 4

    let loop: EventLoop
    let address: SocketAddress
    /// Of its requests: `https` by TLS.
    let scheme: [UInt8]
    private let stream: any ByteStream
    private let waiter: Waiter
    private let session: ClientSession
    private let input = ByteBuffer(capacity: 16)
    private let output = ByteBuffer(capacity: 16)
    private let limits: HeadLimits
    private let idleTimeoutMilliseconds: Int64
    private var willFlush = false
    /// Whether there is more to send than one turn's, and the kernel takes it.
    private var hasMore = false
    private var isLost = false
    /// No further request goes by it: it is closed once those under way are over.
    private var isRetired = false
    private var mustEnd = false
    private var idleSinceMilliseconds: Int64
    /// The last stream that had been begun when something came from the upstream.
    private var lastAnsweredID: Int32 = 0
    private var lastID: Int32 = 0

    /// - Parameters:
    ///   - stream: a connection that the upstream has accepted.
    ///   - limits: of the heads that go by it, as the worker's clients have them.
    ///   - waiter: of whoever moves its bytes; one of its own unless given.
    init(_ stream: any ByteStream, to address: SocketAddress, loop: EventLoop, limits: HeadLimits, idleTimeoutMilliseconds: Int64, waiter: Waiter? = nil) {
        self.stream = stream
        self.address = address
        scheme = Array((stream is TLSStream ? "https" : "http").utf8)
        self.loop = loop
        self.waiter = waiter ?? Waiter(loop: loop)
        var sessionLimits = SessionLimits()
        sessionLimits.concurrentStreams = 100
        // Clients that don't read hold up their own streams, and no other.
        sessionLimits.connectionWindowBytes = sessionLimits.concurrentStreams * sessionLimits.streamWindowBytes
        sessionLimits.outputBytes = Self.outputBytes
        sessionLimits.headerListBytes = 2 * (limits.headerBytes + 32 * limits.headerCount)
        session = ClientSession(sessionLimits, output: output)
        var limits = limits
        // The proxy and the verdict add to what a client may send.
        limits.requestLineBytes *= 4
        limits.headerBytes *= 4
        limits.headerCount *= 4
        self.limits = limits
        self.idleTimeoutMilliseconds = idleTimeoutMilliseconds
        idleSinceMilliseconds = loop.nowMilliseconds
        stream.waiter = self.waiter
    }

    /// Whether it has carried a request before: the upstream may then have closed it just now, unseen.
    var isReused: Bool { lastID > 0 }

    /// Whether the upstream speaks HTTP/2, and has said so.
    var isGreeted: Bool { session.isGreeted }

    /// Whether the upstream takes WebSockets, as it has said when it greeted (RFC 8441 §3).
    var takesWebSockets: Bool { session.takesExtendedConnect }

    var isOver: Bool { isLost || session.isOver }

    var takesRequests: Bool { !isRetired && !isLost && session.takesRequests }

    /// A stream for one request.
    func open() -> UpstreamStream { UpstreamStream(on: self, limits: limits) }

    /// Moves bytes until the connection is over. A task of its own.
    ///
    /// - Parameter changed: called where the upstream has greeted, or is gone: who waited for that may look again.
    func run(changed: () -> Void) async {
        var (rounds, wasGreeted) = (0, false)
        flush()
        while !isOver, !mustEnd {
            let hasMoved = move()
            if session.isGreeted != wasGreeted {
                wasGreeted = true
                changed()
            }
            if isRetired, session.streamCount == 0 { break }
            guard hasMoved else {
                loop.buffers.strip(input)
                loop.buffers.strip(output)
                await waiter.park()
                continue
            }
            rounds &+= 1
            if rounds % Self.roundsPerTurn == 0 { await waiter.yieldTurn() }
        }
        close()
        changed()
    }

    /// Moves what can be moved now: for whoever has no task that runs it.
    ///
    /// - Returns: whether something has come, or there is more to move at once.
    func move() -> Bool {
        let hasMoved = mayReceive && receive()
        flush()
        return hasMoved || hasMore || mayReceive
    }

    /// Ends the connection in good order, as far as that goes at once.
    func close() {
        isRetired = true
        if !isLost {
            session.leave()
            flush()
        }
        isLost = true
        session.closeStreams(for: self)
        stream.close()
    }

    /// Lets no further request by.
    func retire() {
        isRetired = true
        waiter.wake()
    }

    /// Ends the connection: the worker is done.
    func end() {
        mustEnd = true
        waiter.wake()
    }

    func endIfIdle(now: Int64) {
        if session.streamCount == 0, now - idleSinceMilliseconds >= idleTimeoutMilliseconds { retire() }
    }

    // MARK: What the streams ask for

    func request(_ headers: FieldList, isEnd: Bool, for upstream: UpstreamStream) -> ClientStream? {
        guard !isLost, let request = session.request(headers, isEnd: isEnd) else { return nil }
        request.context = upstream
        lastID = request.id
        flushAtEndOfTurn()
        return request
    }

    /// Gives content back to the connection's window whose stream is over: nghttp2 does not.
    func consume(_ byteCount: Int) {
        guard !isLost, byteCount > 0 else { return }
        session.consume(byteCount)
        flushAtEndOfTurn()
    }

    /// A request has been given up without an answer. Where nothing at all has come since it was sent, the connection may be dead, and
    /// the next ones go by another.
    func noteUnanswered(since request: ClientStream) {
        if lastAnsweredID < request.id { retire() }
    }

    func flushAtEndOfTurn() {
        guard !willFlush else { return }
        willFlush = true
        loop.flushAtEndOfTurn(self)
    }

    // MARK: Bytes

    private var mayReceive: Bool { !isLost && stream.isReadable && output.count < Self.outputBytes }

    private func receive() -> Bool {
        loop.buffers.furnish(input)
        switch stream.receive(into: input) {
        case .received:
            lastAnsweredID = lastID
            session.receive(input, for: self)
        case .wouldBlock: return false
        case .ended, .failed: isLost = true
        }
        return true
    }
}

extension UpstreamSession: TurnFlushing {
    func flush() {
        willFlush = false
        hasMore = send()
        // Sent while the task was parked: there may be more, for which the others have their turn first, or room to receive again.
        if hasMore || mayReceive || isLost { waiter.wake() }
    }

    private func send() -> Bool {
        for _ in 0..<Self.flushesPerTurn {
            guard !isLost else {
                output.clear()
                return false
            }
            loop.buffers.furnish(output)
            session.flush(for: self)
            guard !output.isEmpty || stream.hasUnsent, stream.isWritable else { return false }
            let before = output.count
            if case .failed = stream.send(output) {
                isLost = true
                return false
            }
            guard output.isEmpty, before >= Self.outputBytes else { return false }
        }
        return true
    }
}

extension UpstreamSession: AnswerHandler {
    func received(headersOf stream: ClientStream, isEnd: Bool) {
        (stream.context as? UpstreamStream)?.receive(headersOf: stream, isEnd: isEnd)
    }

    func received(_ content: Span<UInt8>, on stream: ClientStream) {
        guard let upstream = stream.context as? UpstreamStream, upstream.isOpen else { return stream.consume(content.count) }
        upstream.receive(content: content)
    }

    func received(endOf stream: ClientStream) {
        (stream.context as? UpstreamStream)?.receiveEnd(trailers: stream.trailers)
    }

    func hasRoom(on stream: ClientStream) {
        (stream.context as? UpstreamStream)?.hasRoom()
    }

    func closed(_ stream: ClientStream, _ code: ErrorCode) {
        // It takes no more for now: the same request must not come back here at once.
        if code == .refusedStream { isRetired = true }
        (stream.context as? UpstreamStream)?.streamClosed()
        idleSinceMilliseconds = loop.nowMilliseconds
        if session.streamCount == 0 { waiter.wake() }
    }
}
