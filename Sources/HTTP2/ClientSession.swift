import Bytes
import CNghttp2

/// The client's side of one HTTP/2 connection (RFC 9113): bytes in, bytes out, and no socket.
@safe public final class ClientSession {
    /// What the server is to be sent.
    public let output: ByteBuffer
    /// Why the connection is over, in words for the log; nil while it isn't, or where both sides ended it in good order.
    public private(set) var ending: String?
    /// Whether the server's SETTINGS have come.
    public internal(set) var isGreeted = false

    let limits: SessionLimits
    var handler: (any AnswerHandler)?
    private let streams = OpenStreams<ClientStream>()
    private let session: OpaquePointer
    private var hasFailed = false

    public init(_ limits: SessionLimits = SessionLimits(), output: ByteBuffer) {
        self.limits = limits
        self.output = output
        unsafe session = makeClientSession()
        unsafe nghttp2_session_set_user_data(session, Unmanaged.passUnretained(self).toOpaque())
        unsafe submitClientSettings(session, limits)
    }

    deinit { unsafe nghttp2_session_del(session) }

    /// Whether nothing more will be read: close once ``output`` is sent.
    public var isOver: Bool {
        unsafe hasFailed || (nghttp2_session_want_read(session) == 0 && nghttp2_session_want_write(session) == 0)
    }

    /// How many requests are under way.
    public var streamCount: Int { streams.count }

    /// Whether the server takes a further request now.
    public var takesRequests: Bool {
        guard isGreeted, !hasFailed, unsafe nghttp2_session_check_request_allowed(session) != 0 else { return false }
        let most = unsafe nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS)
        return streams.count < min(Int(most), limits.concurrentStreams)
    }

    /// Whether the server takes WebSockets by CONNECT (RFC 8441 §3).
    public var takesExtendedConnect: Bool {
        unsafe nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1
    }

    /// Begins a request.
    ///
    /// - Parameters:
    ///   - headers: the pseudo-header fields first; names in lower case.
    ///   - isEnd: whether it has neither content nor trailers.
    /// - Returns: nil where the connection takes none.
    public func request(_ headers: FieldList, isEnd: Bool) -> ClientStream? {
        var id: Int32 = -1
        unsafe withFields(headers.fields.span, in: headers.bytes.span) { fields in
            if isEnd {
                unsafe id = nghttp2_submit_request(session, nil, fields.baseAddress, fields.count, nil, nil)
            } else {
                var provider = unsafe makeRequestProvider()
                unsafe id = nghttp2_submit_request(session, nil, fields.baseAddress, fields.count, &provider, nil)
            }
        }
        guard id > 0 else { return nil }
        let stream = ClientStream(id: id, session: self)
        stream.isContentOver = isEnd
        streams.append(stream, id)
        return stream
    }

    /// Reads all of `input`, tells `handler` what has come, and writes what is to be sent.
    public func receive(_ input: ByteBuffer, for handler: any AnswerHandler) {
        guard !isOver else { return input.clear() }
        self.handler = handler
        let bytes = input.bytes
        let result = unsafe bytes.withUnsafeBufferPointer { unsafe nghttp2_session_mem_recv(session, $0.baseAddress, $0.count) }
        input.clear()
        if result < 0 { fail(because: unsafe String(cString: nghttp2_strerror(Int32(result)))) }
        write()
        self.handler = nil
    }

    /// Writes what is to be sent.
    public func flush(for handler: any AnswerHandler) {
        self.handler = handler
        write()
        self.handler = nil
    }

    /// Ends the connection in good order; what is under way is given up.
    public func leave() {
        unsafe nghttp2_session_terminate_session(session, ErrorCode.noError.rawValue)
        write()
    }

    /// Tells `handler` that every stream is closed: the connection is gone.
    public func closeStreams(for handler: any AnswerHandler) {
        self.handler = handler
        for stream in streams.all { streamClosed(stream.id, .cancel) }
        self.handler = nil
    }

    private func fail(because reason: String) {
        hasFailed = true
        ending = reason
    }

    private func write() {
        if let reason = unsafe writePending(of: session, to: output, limit: limits.outputBytes) { fail(because: reason) }
    }

    // MARK: What the streams ask for

    func resume(_ stream: ClientStream) { unsafe nghttp2_session_resume_data(session, stream.id) }

    func submitTrailers(of stream: ClientStream, _ trailers: FieldList) {
        unsafe withFields(trailers.fields.span, in: trailers.bytes.span) { unsafe nghttp2_submit_trailer(session, stream.id, $0.baseAddress, $0.count) }
    }

    func reset(_ stream: ClientStream, _ code: ErrorCode) {
        unsafe nghttp2_submit_rst_stream(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream.id, code.rawValue)
    }

    /// Lets the server send as many bytes of content again, on other streams: that of these is over.
    public func consume(_ byteCount: Int) { unsafe nghttp2_session_consume_connection(session, byteCount) }

    func consume(_ byteCount: Int, on stream: ClientStream) { unsafe nghttp2_session_consume(session, stream.id, byteCount) }

    // MARK: What the callbacks bring

    func stream(_ id: Int32) -> ClientStream? { streams[id] }

    /// - Returns: false where the section is larger than it may be; the stream is then reset.
    func receive(field name: Span<UInt8>, _ value: Span<UInt8>, onStream id: Int32) -> Bool {
        guard let stream = streams[id] else { return true }
        guard stream.section.accountedByteCount + name.count + value.count + 32 <= limits.headerListBytes else { return false }
        stream.section.append(name, value)
        return true
    }

    func sectionEnded(_ id: Int32, isEnd: Bool) {
        guard let stream = streams[id] else { return }
        if let status = stream.section.first(":status") {
            swap(&stream.headers, &stream.section)
            stream.isAnswered = stream.headers.bytes[status.lowerBound] != UInt8(ascii: "1")
            handler?.received(headersOf: stream, isEnd: isEnd)
        } else {
            swap(&stream.trailers, &stream.section)
        }
        stream.section.removeAll()
        if isEnd { answerEnded(stream) }
    }

    func receive(content: Span<UInt8>, onStream id: Int32) {
        guard let stream = streams[id] else { return consume(content.count) }
        handler?.received(content, on: stream)
    }

    func contentEnded(_ id: Int32) {
        if let stream = streams[id] { answerEnded(stream) }
    }

    private func answerEnded(_ stream: ClientStream) {
        guard !stream.isAnswerOver else { return }
        stream.isAnswerOver = true
        handler?.received(endOf: stream)
    }

    func streamClosed(_ id: Int32, _ code: ErrorCode) {
        guard let stream = streams.remove(id) else { return }
        handler?.closed(stream, code)
        stream.context = nil
    }
}
