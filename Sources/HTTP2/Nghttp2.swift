import Bytes
import CNghttp2

// nghttp2's callbacks. Each gets its ``ServerSession`` as user data.

/// Made once: every session copies them.
private nonisolated(unsafe) let callbacks = unsafe makeCallbacks()

private func makeCallbacks() -> OpaquePointer? {
    var callbacks: OpaquePointer?
    unsafe nghttp2_session_callbacks_new(&callbacks)
    unsafe nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks) { _, head, data in unsafe beginFrame(head, data) }
    unsafe nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) { _, frame, data in unsafe beginHeaders(frame, data) }
    unsafe nghttp2_session_callbacks_set_on_header_callback(callbacks) { _, _, name, nameCount, value, valueCount, _, data in
        unsafe header(name, nameCount, value, valueCount, data)
    }
    unsafe nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks) { _, _, _, _, _, _, _, _ in
        // Else the field is dropped without a word, and the request judged without it.
        NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue
    }
    unsafe nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, data in unsafe frameReceived(frame, data) }
    unsafe nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) { _, _, id, bytes, count, data in
        unsafe contentReceived(id, bytes, count, data)
    }
    unsafe nghttp2_session_callbacks_set_on_frame_send_callback(callbacks) { _, frame, data in unsafe frameSent(frame, data) }
    unsafe nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks) { _, frame, _, data in
        // Else nobody would hear of a section that is larger than one may be: the client would wait for it.
        if unsafe frame!.pointee.hd.type == UInt8(NGHTTP2_HEADERS.rawValue) { unsafe withOwner(data) { unsafe $0.couldNotSend(headersOf: frame!.pointee.hd.stream_id) } }
        return 0
    }
    unsafe nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, id, code, data in
        unsafe withOwner(data) { $0.streamClosed(id, ErrorCode(rawValue: code)) }
        return 0
    }
    unsafe nghttp2_session_callbacks_set_error_callback2(callbacks) { _, _, text, count, data in
        let words = unsafe Span(_unsafeStart: UnsafeRawPointer(text!).assumingMemoryBound(to: UInt8.self), count: count).text
        unsafe withOwner(data) { $0.note(error: words) }
        return 0
    }
    return unsafe callbacks
}

private let maximumSentSectionBytes = 1024 * 1024

func makeSession(in memory: SessionMemory) -> OpaquePointer {
    var options: OpaquePointer?
    unsafe nghttp2_option_new(&options)
    defer { unsafe nghttp2_option_del(options) }
    // The handler says when content is consumed: that is the client's back-pressure.
    unsafe nghttp2_option_set_no_auto_window_update(options, 1)
    // Closed streams are kept for the priority tree of RFC 7540, which nobody needs.
    unsafe nghttp2_option_set_no_closed_streams(options, 1)
    // The library's own limit of resets ends the connection by INTERNAL_ERROR; a ``FrameBudget`` says what is the matter.
    unsafe nghttp2_option_set_stream_reset_rate_limit(options, 1 << 32, 1 << 32)
    // What an answer's head may take before it is compressed: the library's own limit is smaller than what heads of HTTP/1.1 may be.
    unsafe nghttp2_option_set_max_send_header_block_length(options, maximumSentSectionBytes)
    var session: OpaquePointer?
    let result = unsafe memory.lend { unsafe nghttp2_session_server_new3(&session, callbacks, nil, options, $0) }
    guard result == 0, let session = unsafe session else {
        fatalError("no memory for an HTTP/2 session")
    }
    return unsafe session
}

func submitSettings(_ session: OpaquePointer, _ limits: SessionLimits) {
    var settings = [
        nghttp2_settings_entry(settings_id: Int32(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS.rawValue), value: UInt32(limits.concurrentStreams)),
        nghttp2_settings_entry(settings_id: Int32(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE.rawValue), value: UInt32(limits.headerListBytes)),
        nghttp2_settings_entry(settings_id: Int32(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE.rawValue), value: UInt32(limits.streamWindowBytes)),
    ]
    if limits.takesExtendedConnect {
        settings.append(nghttp2_settings_entry(settings_id: Int32(NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL.rawValue), value: 1))
    }
    unsafe nghttp2_submit_settings(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), settings, settings.count)
    unsafe nghttp2_session_set_local_window_size(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), 0, Int32(limits.connectionWindowBytes))
}

/// Lends fields as nghttp2 takes them. It copies them, and puts their names into lower case.
func withFields(
    _ list: Span<FieldList.Field>, in bytes: Span<UInt8>, _ body: (UnsafeBufferPointer<nghttp2_nv>) -> Void
) {
    unsafe bytes.withUnsafeBufferPointer { text in
        unsafe withUnsafeTemporaryAllocation(of: nghttp2_nv.self, capacity: list.count) { room in
            guard let first = unsafe UnsafeMutablePointer(mutating: text.baseAddress) else { return }
            for index in list.indices {
                let field = list[index]
                precondition(field.value.lowerBound >= 0 && field.value.upperBound <= bytes.count, "a value lies within the bytes")
                let flags = bytes.extracting(field.name).namesWhatChanges ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE
                unsafe room.initializeElement(
                    at: index,
                    to: nghttp2_nv(
                        name: first + field.name.lowerBound, value: first + field.value.lowerBound, namelen: field.name.count,
                        valuelen: field.value.count, flags: UInt8(flags.rawValue)))
            }
            unsafe body(UnsafeBufferPointer(rebasing: room[..<list.count]))
        }
    }
}

extension Span where Element == UInt8 {
    /// Whether it is the name of a field whose value is another one in each message: in the peer's table of fields (RFC 7541 §2.3.2) it
    /// would only push out what is of use there.
    fileprivate var namesWhatChanges: Bool {
        switch count {
        case 9: equalsIgnoringCase("ratelimit")
        case 11: equalsIgnoringCase("traceparent")
        case 12: equalsIgnoringCase("x-request-id")
        case 17: equalsIgnoringCase("x-ratelimit-reset")
        case 21: equalsIgnoringCase("x-ratelimit-remaining")
        default: false
        }
    }
}

/// Where nghttp2 gets the content of answers from. It goes on asking for that of streams that the session has let go of, so it knows none by address.
func makeProvider() -> nghttp2_data_provider {
    unsafe nghttp2_data_provider(source: nghttp2_data_source(ptr: nil)) { _, id, room, count, flags, _, data in
        unsafe withOwner(data) { session in
            guard let stream = session.stream(id) else { return Int(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue) }
            return unsafe provide(stream, into: UnsafeMutableRawBufferPointer(start: room, count: count), flags!, session)
        }
    }
}

/// Moves what nghttp2 has to send to `output`, until that holds `limit` bytes.
///
/// - Returns: why the connection can't go on; nil where it can.
func writePending(of session: OpaquePointer, to output: ByteBuffer, limit: Int) -> String? {
    while output.count < limit {
        var bytes: UnsafePointer<UInt8>?
        let count = unsafe nghttp2_session_mem_send(session, &bytes)
        guard count > 0, let first = unsafe bytes else {
            return count < 0 ? unsafe String(cString: nghttp2_strerror(Int32(count))) : nil
        }
        output.append(unsafe Span(_unsafeStart: first, count: count))
    }
    return nil
}

private func provide(
    _ stream: ServerStream, into room: UnsafeMutableRawBufferPointer, _ flags: UnsafeMutablePointer<UInt32>, _ session: ServerSession
) -> Int {
    let unsent = stream.unsent
    if unsent.isEmpty, !stream.isContentOver { session.handler?.hasRoom(on: stream) }
    guard !unsent.isEmpty || stream.isContentOver else { return Int(NGHTTP2_ERR_DEFERRED.rawValue) }
    let count = min(unsent.count, room.count)
    let bytes = unsent.bytes
    unsafe bytes.withUnsafeBytes { unsafe room.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    unsent.consume(count)
    session.waitingByteCount -= count
    session.wrote(count, isAll: unsent.isEmpty)
    if unsent.isEmpty, stream.isContentOver {
        unsafe flags.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue
        if let trailers = stream.answerTrailers.take() {
            unsafe flags.pointee |= NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue
            session.submitTrailers(of: stream, trailers)
        }
    }
    return count
}

/// Without retaining it: it is whoever called the library.
private func withOwner<Result>(_ data: UnsafeMutableRawPointer?, _ body: (ServerSession) -> Result) -> Result {
    unsafe Unmanaged<ServerSession>.fromOpaque(data!)._withUnsafeGuaranteedRef { body($0) }
}

// MARK: What comes in

private func beginFrame(_ head: UnsafePointer<nghttp2_frame_hd>?, _ data: UnsafeMutableRawPointer?) -> Int32 {
    let head = unsafe head!.pointee
    let admitted = FrameHead(type: FrameType(rawValue: head.type), flags: head.flags, payloadByteCount: head.length)
    return unsafe withOwner(data) { $0.admit(admitted) } ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE.rawValue
}

private func beginHeaders(_ frame: UnsafePointer<nghttp2_frame>?, _ data: UnsafeMutableRawPointer?) -> Int32 {
    unsafe withOwner(data) { unsafe $0.sectionBegan(frame!.pointee.hd.stream_id, isTrailer: frame!.pointee.headers.cat != NGHTTP2_HCAT_REQUEST) }
    return 0
}

private func header(
    _ name: UnsafePointer<UInt8>?, _ nameCount: Int, _ value: UnsafePointer<UInt8>?, _ valueCount: Int,
    _ data: UnsafeMutableRawPointer?
) -> Int32 {
    guard let name = unsafe name, let value = unsafe value else { return 0 }
    unsafe withOwner(data) { owner in
        unsafe owner.receive(field: Span(_unsafeStart: name, count: nameCount), Span(_unsafeStart: value, count: valueCount))
    }
    return 0
}

private func frameReceived(_ frame: UnsafePointer<nghttp2_frame>?, _ data: UnsafeMutableRawPointer?) -> Int32 {
    let head = unsafe frame!.pointee.hd
    let isEnd = UInt32(head.flags) & UInt32(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
    unsafe withOwner(data) { owner in
        switch UInt32(head.type) {
        case NGHTTP2_HEADERS.rawValue:
            owner.sectionEnded(isTrailer: unsafe frame!.pointee.headers.cat != NGHTTP2_HCAT_REQUEST, isEnd: isEnd)
        case NGHTTP2_DATA.rawValue:
            if isEnd { owner.contentEnded(head.stream_id) }
        case NGHTTP2_SETTINGS.rawValue: owner.hasSettings = true
        case NGHTTP2_PING.rawValue:
            if UInt32(head.flags) & UInt32(NGHTTP2_FLAG_ACK.rawValue) != 0 { owner.finishDrain() }
        default: break
        }
    }
    return 0
}

private func contentReceived(
    _ id: Int32, _ bytes: UnsafePointer<UInt8>?, _ count: Int, _ data: UnsafeMutableRawPointer?
) -> Int32 {
    guard let bytes = unsafe bytes else { return 0 }
    unsafe withOwner(data) { unsafe $0.receive(content: Span(_unsafeStart: bytes, count: count), onStream: id) }
    return 0
}

// MARK: What goes out

private func frameSent(_ frame: UnsafePointer<nghttp2_frame>?, _ data: UnsafeMutableRawPointer?) -> Int32 {
    let head = unsafe frame!.pointee.hd
    unsafe withOwner(data) { owner in
        switch UInt32(head.type) {
        case NGHTTP2_RST_STREAM.rawValue: owner.sentReset(ErrorCode(rawValue: unsafe frame!.pointee.rst_stream.error_code))
        case NGHTTP2_GOAWAY.rawValue: owner.sentGoAway(ErrorCode(rawValue: unsafe frame!.pointee.goaway.error_code))
        case NGHTTP2_HEADERS.rawValue, NGHTTP2_DATA.rawValue:
            if UInt32(head.flags) & UInt32(NGHTTP2_FLAG_END_STREAM.rawValue) != 0 { owner.sentEnd(ofStream: head.stream_id) }
        default: break
        }
    }
    return 0
}
