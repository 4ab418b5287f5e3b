import COpenSSL
import EventLoop

/// The way from OpenSSL to a stream's socket and back, without a buffer in between: OpenSSL's own are given back while a session
/// is idle (`SSL_MODE_RELEASE_BUFFERS`), those of its memory BIOs would be kept.
enum SocketBIO {
    /// Made once; nil only where there is no memory.
    nonisolated(unsafe) private static let method: OpaquePointer? = unsafe makeMethod()

    /// A BIO that calls `stream`, which must outlive it; nil where there is no memory.
    static func make(for stream: TLSStream) -> OpaquePointer? {
        guard let method = unsafe method, let bio = unsafe BIO_new(method) else { return nil }
        unsafe BIO_set_data(bio, Unmanaged.passUnretained(stream).toOpaque())
        unsafe BIO_set_init(bio, 1)
        return unsafe bio
    }

    private static func makeMethod() -> OpaquePointer? {
        guard let method = unsafe BIO_meth_new(openssl_bio_type(), "gatehouse socket") else { return nil }
        unsafe BIO_meth_set_read_ex(method) { bio, first, room, count in
            guard let stream = unsafe SocketBIO.stream(bio) else { return 0 }
            let free = unsafe UnsafeMutableRawBufferPointer(start: first, count: room)
            unsafe openssl_bio_clear_retry(bio)
            switch unsafe stream.takeIn(free) {
            case .received(let received):
                unsafe count?.pointee = received
                return 1
            case .wouldBlock: unsafe openssl_bio_will_retry(bio, true)
            case .ended, .failed: break
            }
            return 0
        }
        unsafe BIO_meth_set_write_ex(method) { bio, first, length, count in
            guard let stream = unsafe SocketBIO.stream(bio) else { return 0 }
            unsafe openssl_bio_clear_retry(bio)
            let result = unsafe stream.sendOut(UnsafeRawBufferPointer(start: first, count: length))
            guard result > 0 else {
                if result == 0 { unsafe openssl_bio_will_retry(bio, false) }
                return 0
            }
            unsafe count?.pointee = result
            return 1
        }
        // OpenSSL wants to hear that it may go on after a flush, and has nothing else to ask.
        unsafe BIO_meth_set_ctrl(method) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
        return unsafe method
    }

    private static func stream(_ bio: OpaquePointer?) -> TLSStream? {
        unsafe BIO_get_data(bio).map { unsafe Unmanaged<TLSStream>.fromOpaque($0).takeUnretainedValue() }
    }
}
