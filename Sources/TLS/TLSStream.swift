import Bytes
import COpenSSL
import EventLoop

/// TLS over one ``Socket``: the same calls, which never wait, with the same results.
///
/// OpenSSL calls the socket (see `SocketBIO`), which stays what it is: edge-triggered, with its own flags. A stream belongs to
/// the loop of its socket.
@safe public final class TLSStream: ByteStream {
    /// The most that one record may hold (RFC 8446 §5.1).
    private static let recordBytes = 16 * 1024

    public let socket: Socket
    let session: OpaquePointer
    /// What OpenSSL calls back while there are sessions: a server's context.
    private let context: TLSServerContext?
    /// Where a client's sessions are kept, called back while there is one.
    let sessions: TLSSessions?
    /// Whether OpenSSL may hold bytes that no event of the socket will tell of.
    var mayHoldMore = false
    var isHandshakeDone = false
    /// Whether the protocol itself has to send, and the kernel took no more.
    private var awaitsWritable = false
    /// Why the last ``ReceiveResult/failed(_:)`` or ``SendResult/failed(_:)`` was no failure of the socket.
    private var failure: TLSFailure?
    /// What became of the socket in OpenSSL's hands: an errno, or 0.
    private(set) var socketError: Int32 = 0
    private(set) var hasPeerClosed = false

    init(_ handle: OpaquePointer, _ context: TLSServerContext?, _ socket: Socket, _ sessions: TLSSessions? = nil) throws(TLSFailure) {
        guard let session = unsafe SSL_new(handle) else { throw .last("begin a TLS session") }
        self.socket = socket
        self.context = context
        self.sessions = sessions
        unsafe self.session = session
        sessions?.offer(on: self)
        guard let bio = unsafe SocketBIO.make(for: self) else { throw .last("begin a TLS session") }
        unsafe SSL_set_bio(session, bio, bio)
    }

    deinit {
        socket.close()
        unsafe SSL_free(session)
    }

    public var waiter: Waiter? {
        get { socket.waiter }
        set { socket.waiter = newValue }
    }

    /// Whether a receive is worth trying.
    public var isReadable: Bool { mayHoldMore || socket.isReadable }
    /// Whether a send is worth trying.
    public var isWritable: Bool { socket.isWritable }
    public var isBroken: Bool { socket.isBroken }
    public var isOpen: Bool { socket.isOpen }
    /// Whether the protocol itself has something to send that the kernel didn't take: send again, with an empty buffer where
    /// there is nothing else, once ``isWritable``.
    public var hasUnsent: Bool { awaitsWritable }

    /// Whether there is neither data nor an end: a peer's new session tickets and keys are taken in on the way.
    public var isQuiet: Bool {
        guard isReadable else { return true }
        var (byte, count): (UInt8, Int) = (0, 0)
        ERR_clear_error()
        let result = unsafe SSL_peek_ex(session, &byte, 1, &count)
        mayHoldMore = result == 1
        return result != 1 && conclude(result, "receive") == .wouldBlock && !socket.isReadable
    }

    /// The errno of a result in words, or what OpenSSL says where it was no failure of the socket.
    public func text(of code: Int32) -> String { failure?.description ?? SystemError.text(of: code) }

    // MARK: Bytes

    /// Receives what one record brings, as far as the buffer's free room (at least `room` bytes) goes.
    ///
    /// An end that the peer did not announce (close_notify) is a failure: somebody else may have cut the stream there.
    public func receive(into buffer: ByteBuffer, room: Int) -> ReceiveResult {
        guard socket.isOpen else { return .ended }
        var count = 0
        ERR_clear_error()
        var result: Int32 = 0
        _ = unsafe buffer.fill(atLeast: room) { free in
            result = unsafe SSL_read_ex(session, free.baseAddress, free.count, &count)
            return result == 1 ? count : 0
        }
        guard result == 1 else {
            mayHoldMore = false
            return conclude(result, "receive")
        }
        mayHoldMore = unsafe SSL_has_pending(session) == 1
        return .received(count)
    }

    /// Sends what is in the buffer and consumes what was taken.
    public func send(_ buffer: ByteBuffer) -> SendResult {
        guard socket.isOpen else { return .failed(EPIPE) }
        if awaitsWritable {
            // It was a receive that had to send: the next one goes on there.
            awaitsWritable = false
            mayHoldMore = true
        }
        while !buffer.isEmpty {
            let bytes = buffer.bytes
            var count = 0
            ERR_clear_error()
            let result = unsafe bytes.withUnsafeBytes { plain in
                unsafe SSL_write_ex(session, plain.baseAddress, min(plain.count, Self.recordBytes), &count)
            }
            guard result == 1 else {
                if unsafe SSL_get_error(session, result) == SSL_ERROR_WANT_WRITE { return .wouldBlock }
                return .failed(fail("send"))
            }
            buffer.consume(count)
        }
        return .sent
    }

    /// Ends TLS, as far as the kernel takes that now, and closes the socket.
    public func close() {
        guard socket.isOpen else { return }
        endSession()
        socket.close()
    }

    /// Ends TLS's sending side and the socket's (RFC 8446 §6.1).
    public func endSending() {
        guard socket.isOpen else { return }
        endSession()
        socket.endSending()
    }

    /// Closes without ending TLS, and with a reset: the peer knows that something is missing.
    public func reset() { socket.reset() }

    private func endSession() {
        guard isHandshakeDone, failure == nil, socketError == 0 else { return }
        ERR_clear_error()
        _ = unsafe SSL_shutdown(session)
    }

    /// What follows from a call that brought no bytes.
    private func conclude(_ result: Int32, _ doing: String) -> ReceiveResult {
        switch unsafe SSL_get_error(session, result) {
        case SSL_ERROR_ZERO_RETURN: return .ended
        case SSL_ERROR_WANT_READ: return .wouldBlock
        case SSL_ERROR_WANT_WRITE:
            awaitsWritable = true
            return .wouldBlock
        default: return .failed(fail(doing))
        }
    }

    /// Notes why a call failed, and returns an errno for it.
    func fail(_ doing: String) -> Int32 {
        if socketError != 0 { return socketError }
        failure = hasPeerClosed ? TLSFailure("the peer closed the connection without ending TLS") : .last("\(doing) over TLS")
        return EPROTO
    }

    // MARK: OpenSSL's side of the socket

    func takeIn(_ free: UnsafeMutableRawBufferPointer) -> ReceiveResult {
        // Nothing has come since a receive found the socket drained.
        guard socket.isReadable else { return .wouldBlock }
        let result = unsafe socket.receive(into: free)
        switch result {
        case .ended: hasPeerClosed = true
        case .failed(let code): socketError = code
        case .received, .wouldBlock: break
        }
        return result
    }

    /// - Returns: how many bytes were sent; 0 where none are taken now, -1 where none will be any more.
    func sendOut(_ bytes: UnsafeRawBufferPointer) -> Int {
        let result = unsafe socket.send(bytes)
        if result >= 0 { return result }
        if -result == Int(EAGAIN) || -result == Int(EINTR) { return 0 }
        socketError = Int32(-result)
        return -1
    }
}
