import Bytes
import CNghttp2

/// The server's side of one HTTP/2 connection (RFC 9113): bytes in, bytes out, and no socket.
///
/// The framing is nghttp2's, strict in all that the RFC calls malformed. On top of it: limits, and an end for a client that
/// keeps the connection busy with frames that move no request on.
@safe public final class ServerSession {
    /// What the client is to be sent.
    public let output: ByteBuffer
    /// Why the connection is over, in words for the log; nil while it isn't, or where both sides ended it in good order.
    public private(set) var ending: String?
    /// Whether the client's preface and SETTINGS have come.
    public var isGreeted: Bool { hasSettings }

    /// How much of the answers' content waits for the client's windows, all streams together. It is kept for as long as the client likes:
    /// answer without content where there is too much of it.
    public var unsentByteCount: Int { waitingByteCount }

    /// How much of the answers' content has been written since the last ``resetStalled()``.
    var writtenByteCount = 0

    /// Which of the client's frames has come in part, or is the last of a header section that has; nil where all that came is whole.
    public var unfinishedFrame: Int? { sectionOf == nil ? progress.unfinishedFrame : progress.frameNumber }

    // As in a ``ServerStream``, what changes often has no public storage.
    var hasSettings = false
    var waitingByteCount = 0
    let limits: SessionLimits
    var budget: FrameBudget
    private var progress = FrameProgress()
    var handler: (any StreamHandler)?
    /// Those that are open, but for what ``closeStreams(for:)`` has closed: the library knows nothing of that.
    private let streams = OpenStreams<ServerStream>()
    /// The one that was asked for last: most frames belong to that of the frame before.
    private var latest: ServerStream?
    var continuationCount = 0
    /// The stream whose header section is being read, and as much of it as has come.
    var sectionOf: ServerStream?
    let section = FieldSection()

    private let memory: SessionMemory
    /// For ``session`` alone, which wakes it.
    private let sessionInMemory: OpaquePointer
    private var session: OpaquePointer {
        memory.wake()
        return unsafe sessionInMemory
    }
    /// Taken out while they are changed, as ``OpenStreams`` takes out its own.
    private var spareStreams: [ServerStream] = []
    private var hasFailed = false
    private var lastError: String?
    private var isDraining = false
    private var hasPinged = false
    private static let maximumSpareStreams = 64
    /// How much of the input is read before what it brought about is written, in bytes.
    private static let pieceBytes = 2048
    /// What a client takes at least between two calls of ``resetStalled()``, in bytes, where its answers wait for nothing but each other.
    private static let leastWrittenBytes = 16 * 1024

    /// - Parameter blocks: which the sessions of a thread may have in common.
    public init(_ limits: SessionLimits = SessionLimits(), output: ByteBuffer, blocks: SpareBlocks) {
        self.limits = limits
        memory = SessionMemory(blocks)
        self.output = output
        budget = FrameBudget(limits)
        unsafe sessionInMemory = makeSession(in: memory)
        unsafe nghttp2_session_set_user_data(session, Unmanaged.passUnretained(self).toOpaque())
        unsafe submitSettings(session, limits)
    }

    deinit {
        // The library says nothing of streams that are open still, and what a handler keeps of one may hold it in turn.
        for stream in streams.all { stream.context = nil }
        unsafe nghttp2_session_del(session)
    }

    /// Whether nothing more will be read: close once ``output`` is sent. To ask wakes the session.
    public var isOver: Bool {
        unsafe hasFailed || (nghttp2_session_want_read(session) == 0 && nghttp2_session_want_write(session) == 0)
    }

    /// Reads all of `input`, tells `handler` what has come, and writes what is to be sent.
    ///
    /// - Parameter nowMilliseconds: on a clock that may be set back.
    public func receive(_ input: ByteBuffer, for handler: any StreamHandler, nowMilliseconds: Int64) {
        guard !isOver else { return input.clear() }
        budget.earn(untilMilliseconds: nowMilliseconds)
        self.handler = handler
        progress.pass(input.bytes)
        // Piece by piece: what is answered at once is done with before the next requests take memory of their own.
        while !input.isEmpty, !hasFailed {
            let piece = input.bytes.extracting(first: Self.pieceBytes)
            let result = unsafe piece.withUnsafeBufferPointer { unsafe nghttp2_session_mem_recv(session, $0.baseAddress, $0.count) }
            input.consume(piece.count)
            if result < 0 {
                // Where the library gives up it says no goodbye by itself: a wrong preface, or a flood that it notices before this does.
                let code: ErrorCode = result == Int(NGHTTP2_ERR_BAD_CLIENT_MAGIC.rawValue) ? .protocolError : .enhanceYourCalm
                condemn(code, because: unsafe String(cString: nghttp2_strerror(Int32(result))))
            }
            write()
        }
        input.clear()
        self.handler = nil
    }

    /// Writes what is to be sent, after answers that were given outside of ``receive(_:for:nowMilliseconds:)``.
    public func flush(for handler: any StreamHandler) {
        self.handler = handler
        write()
        self.handler = nil
    }

    /// Asks the client to open no further streams (RFC 9113 §6.8); those that are open, or on their way, are served. Is followed by
    /// the last word once the client has shown that it knows.
    public func drain(for handler: any StreamHandler) {
        guard !isDraining, !isOver else { return }
        isDraining = true
        unsafe nghttp2_submit_shutdown_notice(session)
        flush(for: handler)
    }

    /// Tells `handler` that every stream is closed: the connection is gone.
    public func closeStreams(for handler: any StreamHandler) {
        self.handler = handler
        for stream in streams.all { streamClosed(stream.identifier, .cancel) }
        self.handler = nil
    }

    /// Resets the streams whose answer was given to its end and of which the client has taken nothing since the last call, by
    /// keeping their window shut or by taking next to nothing of the connection as a whole. ``flush(for:)`` sends the resets.
    public func resetStalled() {
        let isSlow = writtenByteCount < Self.leastWrittenBytes
        writtenByteCount = 0
        for stream in streams.all where stream.isContentOver {
            let left = stream.unsent.count
            let window = unsafe nghttp2_session_get_stream_remote_window_size(session, stream.identifier)
            if left == stream.stalledByteCount, isSlow || window <= 0 { stream.reset(.cancel) }
            stream.stalledByteCount = left
        }
    }

    /// Lets go of storage that is kept for the next streams.
    public func releaseSpares() {
        spareStreams = []
        if sectionOf == nil { section.shrink() }
    }

    /// Gives the memory of an idle session back to the system; whatever is asked of it next takes some of it again. Nothing is lost but a
    /// few microseconds. Does nothing while a stream is open or something is to be sent.
    public func sleep() {
        guard !isAsleep, streams.count == 0, output.isEmpty, !wantsWrite else { return }
        memory.sleep()
    }

    public var isAsleep: Bool { memory.isAsleep }

    /// How many streams are open, those among them that only wait for the client to take their answer.
    public var streamCount: Int { streams.count }

    /// Whether ``flush(for:)`` would write something, now that the output has been taken.
    public var wantsWrite: Bool { unsafe nghttp2_session_want_write(session) != 0 }

    /// Ends the connection, for a reason that lies outside of its frames or is a flood of them. No handler is told of anything: no answer goes on.
    public func end(_ code: ErrorCode, because reason: String) {
        condemn(code, because: reason)
        write()
    }

    // MARK: What the callbacks and the streams ask for

    /// Ends the connection from within a callback, where nothing may be written yet.
    func condemn(_ code: ErrorCode, because reason: String) {
        guard !hasFailed else { return }
        fail(because: reason)
        let last = unsafe nghttp2_session_get_last_proc_stream_id(session)
        let text = Array(reason.utf8)
        unsafe nghttp2_submit_goaway(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), last, code.rawValue, text, text.count)
    }

    func finishDrain() {
        guard isDraining else { return }
        let last = unsafe nghttp2_session_get_last_proc_stream_id(session)
        unsafe nghttp2_submit_goaway(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), last, ErrorCode.noError.rawValue, nil, 0)
    }

    /// The library has found an error that it answers by itself: with a GOAWAY, or of a stream alone.
    func note(error: String) { lastError = error }

    func sentGoAway(_ code: ErrorCode) {
        if code != .noError, ending == nil { ending = lastError ?? "HTTP/2 error \(code.rawValue)" }
        guard isDraining, code == .noError, !hasPinged else { return }
        // After the notice, not beside it: a PING overtakes what waits to be sent.
        hasPinged = true
        unsafe nghttp2_submit_ping(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), nil)
    }

    func answerInterim(_ stream: ServerStream, _ headers: Span<FieldList.Field>, in bytes: Span<UInt8>) {
        guard !stream.isAnswered else { return }
        unsafe withFields(headers, in: bytes) { fields in
            _ = unsafe nghttp2_submit_headers(
                session, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream.identifier, nil, fields.baseAddress, fields.count, nil)
        }
    }

    func answer(_ stream: ServerStream, _ headers: Span<FieldList.Field>, in bytes: Span<UInt8>, isEnd: Bool) {
        guard !stream.isAnswered else { return }
        stream.isAnswered = true
        let (session, id) = unsafe (self.session, stream.identifier)
        unsafe withFields(headers, in: bytes) { fields in
            if isEnd {
                unsafe nghttp2_submit_response(session, id, fields.baseAddress, fields.count, nil)
            } else {
                var provider = unsafe makeProvider()
                unsafe nghttp2_submit_response(session, id, fields.baseAddress, fields.count, &provider)
            }
        }
    }

    /// - Parameter byteCount: of the content that has been added to what waits.
    func resume(_ stream: ServerStream, with byteCount: Int) {
        waitingByteCount += byteCount
        resume(stream)
    }

    func resume(_ stream: ServerStream) { unsafe nghttp2_session_resume_data(session, stream.identifier) }

    func submitTrailers(of stream: ServerStream, _ trailers: FieldList) {
        unsafe withFields(trailers.fields.span, in: trailers.bytes.span) { unsafe nghttp2_submit_trailer(session, stream.identifier, $0.baseAddress, $0.count) }
    }

    func reset(_ stream: ServerStream, _ code: ErrorCode) {
        unsafe nghttp2_submit_rst_stream(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream.identifier, code.rawValue)
    }

    func consume(_ byteCount: Int, on stream: ServerStream) { unsafe nghttp2_session_consume(session, stream.identifier, byteCount) }

    /// Lets the client send as many bytes again on other streams: of content whose own stream takes no more of it.
    public func consume(_ byteCount: Int) { unsafe nghttp2_session_consume_connection(session, byteCount) }

    func stream(_ id: Int32) -> ServerStream? {
        if let latest, latest.identifier == id { return latest }
        guard let stream = streams[id] else { return nil }
        latest = stream
        return stream
    }

    func open(_ id: Int32) -> ServerStream {
        let stream: ServerStream
        var spares = exchange(&spareStreams, with: [])
        defer { spareStreams = spares }
        if let spare = spares.popLast() {
            spare.begin(id)
            stream = spare
        } else {
            stream = ServerStream(id: id, session: self)
        }
        streams.append(stream, id)
        latest = stream
        return stream
    }

    /// - Returns: nil where it isn't open.
    func remove(_ id: Int32) -> ServerStream? {
        if latest?.identifier == id { latest = nil }
        return streams.remove(id)
    }

    /// Keeps a closed stream for another request, unless somebody still has it.
    func keep(_ stream: consuming ServerStream) {
        guard spareStreams.count < Self.maximumSpareStreams, isKnownUniquelyReferenced(&stream), stream.end() else { return }
        var spares = exchange(&spareStreams, with: [])
        spares.append(stream)
        spareStreams = spares
    }

    private func fail(because reason: String) {
        hasFailed = true
        ending = reason
    }

    private func write() {
        if let reason = unsafe writePending(of: session, to: output, limit: limits.outputBytes) { fail(because: reason) }
    }
}
