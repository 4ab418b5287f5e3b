import Bytes
import CNghttp2

// nghttp2's callbacks for a ``ClientSession``, which each gets as user data.

/// Made once: every session copies them.
private nonisolated(unsafe) let callbacks = unsafe makeCallbacks()

private func makeCallbacks() -> OpaquePointer? {
    var callbacks: OpaquePointer?
    unsafe nghttp2_session_callbacks_new(&callbacks)
    unsafe nghttp2_session_callbacks_set_on_header_callback(callbacks) { _, frame, name, nameCount, value, valueCount, _, data in
        guard let name = unsafe name, let value = unsafe value else { return 0 }
        let isAdmitted = unsafe owner(data).receive(
            field: Span(_unsafeStart: name, count: nameCount), Span(_unsafeStart: value, count: valueCount), onStream: frame!.pointee.hd.stream_id)
        return isAdmitted ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue
    }
    unsafe nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks) { _, _, _, _, _, _, _, _ in
        NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue
    }
    unsafe nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, data in unsafe frameReceived(frame, data) }
    unsafe nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) { _, _, id, bytes, count, data in
        guard let bytes = unsafe bytes else { return 0 }
        unsafe owner(data).receive(content: Span(_unsafeStart: bytes, count: count), onStream: id)
        return 0
    }
    unsafe nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, id, code, data in
        unsafe owner(data).streamClosed(id, ErrorCode(rawValue: code))
        return 0
    }
    return unsafe callbacks
}

func makeClientSession() -> OpaquePointer {
    var options: OpaquePointer?
    unsafe nghttp2_option_new(&options)
    defer { unsafe nghttp2_option_del(options) }
    unsafe nghttp2_option_set_no_auto_window_update(options, 1)
    unsafe nghttp2_option_set_no_closed_streams(options, 1)
    var session: OpaquePointer?
    guard unsafe nghttp2_session_client_new2(&session, callbacks, nil, options) == 0, let session = unsafe session else {
        fatalError("no memory for an HTTP/2 session")
    }
    return unsafe session
}

func submitClientSettings(_ session: OpaquePointer, _ limits: SessionLimits) {
    let settings = [
        nghttp2_settings_entry(settings_id: Int32(NGHTTP2_SETTINGS_ENABLE_PUSH.rawValue), value: 0),
        nghttp2_settings_entry(settings_id: Int32(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE.rawValue), value: UInt32(limits.headerListBytes)),
        nghttp2_settings_entry(settings_id: Int32(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE.rawValue), value: UInt32(limits.streamWindowBytes)),
    ]
    unsafe nghttp2_submit_settings(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), settings, settings.count)
    unsafe nghttp2_session_set_local_window_size(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), 0, Int32(limits.connectionWindowBytes))
}

/// Where nghttp2 gets a request's content from: its stream is known by its id.
func makeRequestProvider() -> nghttp2_data_provider {
    unsafe nghttp2_data_provider(source: nghttp2_data_source(ptr: nil)) { _, id, room, count, flags, _, data in
        let session = unsafe owner(data)
        guard let stream = session.stream(id) else { return Int(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue) }
        return unsafe provide(stream, into: UnsafeMutableRawBufferPointer(start: room, count: count), flags!, session)
    }
}

private func provide(
    _ stream: ClientStream, into room: UnsafeMutableRawBufferPointer, _ flags: UnsafeMutablePointer<UInt32>, _ session: ClientSession
) -> Int {
    let unsent = stream.unsent
    if unsent.isEmpty, !stream.isContentOver { session.handler?.hasRoom(on: stream) }
    guard !unsent.isEmpty || stream.isContentOver else { return Int(NGHTTP2_ERR_DEFERRED.rawValue) }
    let count = min(unsent.count, room.count)
    let bytes = unsent.bytes
    unsafe bytes.withUnsafeBytes { unsafe room.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    unsent.consume(count)
    if unsent.isEmpty, stream.isContentOver {
        unsafe flags.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue
        if let trailers = stream.requestTrailers {
            unsafe flags.pointee |= NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue
            session.submitTrailers(of: stream, trailers)
        }
    }
    return count
}

private func owner(_ data: UnsafeMutableRawPointer?) -> ClientSession {
    unsafe Unmanaged<ClientSession>.fromOpaque(data!).takeUnretainedValue()
}

private func frameReceived(_ frame: UnsafePointer<nghttp2_frame>?, _ data: UnsafeMutableRawPointer?) -> Int32 {
    let owner = unsafe owner(data)
    let head = unsafe frame!.pointee.hd
    let isEnd = UInt32(head.flags) & UInt32(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
    switch UInt32(head.type) {
    case NGHTTP2_HEADERS.rawValue: owner.sectionEnded(head.stream_id, isEnd: isEnd)
    case NGHTTP2_DATA.rawValue: if isEnd { owner.contentEnded(head.stream_id) }
    case NGHTTP2_SETTINGS.rawValue: owner.isGreeted = true
    default: break
    }
    return 0
}
