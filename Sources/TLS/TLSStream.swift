import Bytes
import COpenSSL
import EventLoop

/// TLS over one ``Socket``: the same calls, which never wait, with the same results.
///
/// OpenSSL gets its bytes from memory and puts them there, and the socket stays what it is: edge-triggered, with its own
/// flags. A stream belongs to the loop of its socket.
@safe public final class TLSStream: ByteStream {
    /// How much is put into one record: with what TLS adds it still fits into a pooled buffer. TLS allows 16 KiB (RFC 8446 §5.1).
    private static let recordBytes = 15 * 1024

    public let socket: Socket
    private let session: OpaquePointer
    /// What was received, for OpenSSL to read; and what OpenSSL wrote.
    private let incoming: OpaquePointer
    private let outgoing: OpaquePointer
    /// Taken from `outgoing`, but not by the kernel yet.
    private let unsent = ByteBuffer(capacity: 16)
    /// Whether OpenSSL may hold bytes that no event of the socket will tell of.
    private var mayHoldMore = false
    private var isHandshakeDone = false
    /// Why the last ``ReceiveResult/failed(_:)`` or ``SendResult/failed(_:)`` was no failure of the socket.
    private var failure: TLSFailure?

    private init(_ context: TLSContext, _ socket: Socket) throws(TLSFailure) {
        guard let session = unsafe SSL_new(context.handle) else { throw .last("begin a TLS session") }
        guard let incoming = unsafe BIO_new(BIO_s_mem()), let outgoing = unsafe BIO_new(BIO_s_mem()) else {
            unsafe SSL_free(session)
            throw .last("begin a TLS session")
        }
        unsafe SSL_set_bio(session, incoming, outgoing)
        self.socket = socket
        unsafe self.session = session
        unsafe self.incoming = incoming
        unsafe self.outgoing = outgoing
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
    /// Whether bytes are left here that a ``send(_:)`` took, or that the protocol itself has to send: call it again, with an
    /// empty buffer where there is nothing else, once ``isWritable``.
    public var hasUnsent: Bool { unsafe !unsent.isEmpty || BIO_ctrl_pending(outgoing) > 0 }

    /// The errno of a result in words, or what OpenSSL says where it was no failure of the socket.
    public func text(of code: Int32) -> String { failure?.description ?? SystemError.text(of: code) }

    // MARK: Bytes

    /// Receives what one record brings, as far as the buffer's free room (at least `room` bytes) goes.
    ///
    /// An end that the peer did not announce (close_notify) is a failure: somebody else may have cut the stream there.
    public func receive(into buffer: ByteBuffer, room: Int) -> ReceiveResult {
        guard socket.isOpen else { return .ended }
        while true {
            var count = 0
            ERR_clear_error()
            var result: Int32 = 0
            _ = unsafe buffer.fill(atLeast: room) { free in
                result = unsafe SSL_read_ex(session, free.baseAddress, free.count, &count)
                return result == 1 ? count : 0
            }
            if result == 1 {
                mayHoldMore = true
                return .received(count)
            }
            mayHoldMore = false
            switch unsafe SSL_get_error(session, result) {
            case SSL_ERROR_ZERO_RETURN: return .ended
            case SSL_ERROR_WANT_READ: break
            default: return .failed(fail("receive"))
            }
            // The answer to a key update, say.
            if case .failed(let code) = flush() { return .failed(code) }
            guard socket.isReadable else { return .wouldBlock }
            switch takeIn() {
            case .received: continue
            case .wouldBlock: return .wouldBlock
            case .ended:
                failure = TLSFailure("the peer closed the connection without ending TLS")
                return .failed(EPROTO)
            case .failed(let code): return .failed(code)
            }
        }
    }

    /// Sends what is in the buffer and consumes what was taken, which may be all of it also where this says `wouldBlock`: see
    /// ``hasUnsent``.
    public func send(_ buffer: ByteBuffer) -> SendResult {
        guard socket.isOpen else { return .failed(EPIPE) }
        while true {
            let flushed = flush()
            guard flushed == .sent, !buffer.isEmpty else { return flushed }
            let bytes = buffer.bytes
            var count = 0
            ERR_clear_error()
            let result = unsafe bytes.withUnsafeBytes { plain in
                unsafe SSL_write_ex(session, plain.baseAddress, min(plain.count, Self.recordBytes), &count)
            }
            guard result == 1 else { return .failed(fail("send")) }
            buffer.consume(count)
        }
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
        guard isHandshakeDone, failure == nil else { return }
        ERR_clear_error()
        _ = unsafe SSL_shutdown(session)
        _ = flush()
    }

    private func takeIn() -> ReceiveResult {
        let received = socket.loop.buffers.take()
        defer { socket.loop.buffers.give(received) }
        let result = socket.receive(into: received, room: 8 * 1024)
        let bytes = received.bytes
        // Memory takes all that there is.
        unsafe bytes.withUnsafeBytes { _ = unsafe BIO_write(incoming, $0.baseAddress, Int32($0.count)) }
        return result
    }

    private func flush() -> SendResult {
        while case let count = unsafe BIO_ctrl_pending(outgoing), count > 0 {
            socket.loop.buffers.furnish(unsent)
            _ = unsafe unsent.fill(atLeast: count) { free in
                unsafe max(Int(BIO_read(outgoing, free.baseAddress, Int32(clamping: free.count))), 0)
            }
        }
        guard !unsent.isEmpty else { return .sent }
        let result = socket.send(unsent)
        socket.loop.buffers.strip(unsent)
        return result
    }

    private func fail(_ doing: String) -> Int32 {
        failure = .last("\(doing) over TLS")
        return EPROTO
    }
}

extension TLSStream {
    /// Makes `socket`, which is connected, a TLS session with the server `name`, whose certificate must be valid for it.
    ///
    /// - Parameters:
    ///   - name: a host name or an IP address. A name is told to the server too (SNI, RFC 6066 §3).
    ///   - timeoutMilliseconds: how long to wait on `waiter`, whose deadline is used.
    ///   - isOver: whether to give up; wake the waiter when that changes.
    /// - Throws: why there is no session; the socket is closed then.
    public static func connect(
        over socket: Socket, to name: String, _ context: TLSContext, on waiter: Waiter, timeoutMilliseconds: Int64,
        unless isOver: () -> Bool = { false }
    ) async throws(TLSFailure) -> TLSStream {
        let stream = try TLSStream(context, socket)
        waiter.setDeadline(afterMilliseconds: timeoutMilliseconds)
        socket.waiter = waiter
        defer { waiter.clearDeadline() }
        do {
            try stream.expect(name)
            unsafe SSL_set_connect_state(stream.session)
            try await stream.shakeHands(on: waiter, unless: isOver)
        } catch {
            // What the server did wrong, it is told by an alert.
            _ = stream.flush()
            socket.close()
            throw error
        }
        return stream
    }

    private func expect(_ name: String) throws(TLSFailure) {
        let parameters = unsafe SSL_get0_param(session)
        unsafe X509_VERIFY_PARAM_set_hostflags(parameters, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
        let isAccepted = if unsafe X509_VERIFY_PARAM_set1_ip_asc(parameters, name) == 1 {
            true
        } else {
            unsafe X509_VERIFY_PARAM_set1_host(parameters, name, 0) == 1 && openssl_set_server_name(session, name) == 1
        }
        ERR_clear_error()
        guard isAccepted, !name.isEmpty else { throw TLSFailure("\(name.debugDescription) is no name of a TLS server") }
    }

    private func shakeHands(on waiter: Waiter, unless isOver: () -> Bool) async throws(TLSFailure) {
        while true {
            ERR_clear_error()
            let result = unsafe SSL_do_handshake(session)
            let error = unsafe SSL_get_error(session, result)
            guard result == 1 || error == SSL_ERROR_WANT_READ else { throw handshakeFailure() }
            if case .failed(let code) = flush() { throw TLSFailure("the TLS handshake failed: \(text(of: code))") }
            if result == 1 { break }
            while !socket.isReadable {
                if waiter.isDue || isOver() { throw TLSFailure("the TLS handshake took too long") }
                if hasUnsent, socket.isWritable { _ = flush() }
                await waiter.park()
            }
            switch takeIn() {
            case .received, .wouldBlock: break
            case .ended: throw TLSFailure("the server closed the connection in the TLS handshake")
            case .failed(let code): throw TLSFailure("the TLS handshake failed: \(text(of: code))")
            }
        }
        isHandshakeDone = true
        // The first bytes may have come along with the end of the handshake.
        mayHoldMore = true
    }

    private func handshakeFailure() -> TLSFailure {
        let verification = unsafe SSL_get_verify_result(session)
        guard verification == Int(X509_V_OK) else {
            ERR_clear_error()
            let reason = unsafe String(cString: X509_verify_cert_error_string(verification))
            return TLSFailure("the server's certificate is refused: \(reason)")
        }
        return .last("shake hands over TLS")
    }
}
