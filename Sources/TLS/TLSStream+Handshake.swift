import COpenSSL
import EventLoop

extension TLSStream {
    /// Makes `socket`, which is connected, a TLS session with the server `name`, whose certificate must be valid for it.
    ///
    /// - Parameters:
    ///   - name: a host name or an IP address. A name is told to the server too (SNI, RFC 6066 §3).
    ///   - timeoutMilliseconds: how long to wait on `waiter`, whose deadline is used.
    ///   - turns: has the steps of the loop's handshakes take turns; nil where few are made.
    ///   - protocolName: what is to be spoken: the one protocol that is offered, and that the server has to choose (ALPN, RFC 7301). Nil:
    ///     those of the context's settings, of which it may choose none.
    ///   - sessions: those with this server under this name, verified by this context; nil where none is to be brought back.
    ///   - isOver: whether to give up; wake the waiter when that changes.
    /// - Throws: why there is no session; the socket is closed then.
    public static func connect(
        over socket: Socket, to name: String, _ context: TLSContext, on waiter: Waiter, timeoutMilliseconds: Int64,
        taking turns: HandshakeTurns? = nil, speaking protocolName: String? = nil, resuming sessions: TLSSessions? = nil,
        unless isOver: () -> Bool = { false }
    ) async throws(TLSFailure) -> TLSStream {
        socket.waiter = waiter
        waiter.setDeadline(afterMilliseconds: timeoutMilliseconds)
        do throws(TLSFailure) {
            let stream = try unsafe TLSStream(context.handle, nil, socket, sessions)
            try stream.expect(name, verifying: context.verifiesServer)
            if let protocolName { try stream.offer(protocolName) }
            unsafe SSL_set_connect_state(stream.session)
            try await stream.shakeHands(with: "the server", on: waiter, turns, unless: isOver)
            if let protocolName, stream.negotiatedProtocol != protocolName {
                throw TLSFailure("the server does not choose \(protocolName) (ALPN), the one protocol that it may speak here")
            }
            sessions?.keepResumed(by: stream)
            return stream
        } catch {
            socket.close()
            throw error
        }
    }

    /// Makes `socket`, on which a client has connected, a TLS session with it.
    ///
    /// Call it when the client has said something: a session takes much more memory than a socket.
    ///
    /// - Parameters:
    ///   - timeoutMilliseconds: how long to wait on `waiter`, whose deadline is used.
    ///   - turns: has the steps of the loop's handshakes take turns.
    ///   - isOver: whether to give up; wake the waiter when that changes.
    /// - Throws: why there is no session; the socket is closed then.
    public static func accept(
        over socket: Socket, _ context: TLSServerContext, on waiter: Waiter, timeoutMilliseconds: Int64, taking turns: HandshakeTurns,
        unless isOver: () -> Bool = { false }
    ) async throws(TLSFailure) -> TLSStream {
        socket.waiter = waiter
        waiter.setDeadline(afterMilliseconds: timeoutMilliseconds)
        do throws(TLSFailure) {
            let stream = try unsafe TLSStream(context.first, context, socket)
            unsafe SSL_set_accept_state(stream.session)
            try await stream.shakeHands(with: "the client", on: waiter, turns, unless: isOver)
            return stream
        } catch {
            socket.close()
            throw error
        }
    }

    /// The protocol that both sides chose (ALPN, RFC 7301); nil for none.
    public var negotiatedProtocol: String? {
        var first: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        unsafe SSL_get0_alpn_selected(session, &first, &count)
        return unsafe first.map { unsafe String(decoding: UnsafeBufferPointer(start: $0, count: Int(count)), as: UTF8.self) }
    }

    /// The certificate that the peer has shown, and that has been verified; nil for none.
    ///
    /// - Throws: where it says what can't be told: its peer is none that has shown nothing.
    public var peerCertificate: PeerCertificate? {
        get throws(TLSFailure) {
            guard unsafe SSL_get_verify_result(session) == Int(X509_V_OK), let certificate = unsafe SSL_get1_peer_certificate(session) else {
                return nil
            }
            defer { unsafe X509_free(certificate) }
            guard let described = unsafe PeerCertificate(certificate) else {
                throw TLSFailure("the peer's certificate has a subject or a name that can't be told")
            }
            return described
        }
    }

    /// Whether the session is one of before, brought back: neither side has proved anew who it is.
    public var isResumed: Bool { unsafe SSL_session_reused(session) == 1 }

    private func offer(_ protocolName: String) throws(TLSFailure) {
        let list = ProtocolList([protocolName]).bytes
        // Unlike its siblings it returns 0 for success.
        try check(unsafe SSL_set_alpn_protos(session, list, UInt32(list.count)) == 0 ? 1 : 0, "offer \(protocolName)")
    }

    private func expect(_ name: String, verifying verifies: Bool) throws(TLSFailure) {
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

    private func shakeHands(
        with peer: String, on waiter: Waiter, _ turns: HandshakeTurns?, unless isOver: () -> Bool
    ) async throws(TLSFailure) {
        defer { waiter.clearDeadline() }
        try await takeSteps(with: peer, on: waiter, turns, unless: { waiter.isDue || isOver() })
        isHandshakeDone = true
        // The first bytes may have come along with the end of the handshake.
        mayHoldMore = unsafe SSL_has_pending(session) == 1
    }

    private func takeSteps(
        with peer: String, on waiter: Waiter, _ turns: HandshakeTurns?, unless isOver: () -> Bool
    ) async throws(TLSFailure) {
        while true {
            if let turns, await !turns.take(on: waiter, unless: isOver) { throw Self.late }
            ERR_clear_error()
            let result = unsafe SSL_do_handshake(session)
            if result == 1 { return }
            switch unsafe SSL_get_error(session, result) {
            case SSL_ERROR_WANT_READ: try await wait(on: waiter, unless: isOver) { socket.isReadable }
            case SSL_ERROR_WANT_WRITE: try await wait(on: waiter, unless: isOver) { socket.isWritable }
            default: throw handshakeFailure(with: peer)
            }
        }
    }

    private func wait(on waiter: Waiter, unless isOver: () -> Bool, until isReady: () -> Bool) async throws(TLSFailure) {
        while !isReady() {
            if isOver() { throw Self.late }
            await waiter.park()
        }
    }

    private static let late = TLSFailure("the TLS handshake took too long")

    private func handshakeFailure(with peer: String) -> TLSFailure {
        let verification = unsafe SSL_get_verify_result(session)
        guard verification == Int(X509_V_OK) else {
            ERR_clear_error()
            let reason = unsafe String(cString: X509_verify_cert_error_string(verification))
            return TLSFailure("\(peer)'s certificate is refused: \(reason)")
        }
        if hasPeerClosed { return TLSFailure("\(peer) closed the connection in the TLS handshake") }
        if socketError != 0 { return TLSFailure("the TLS handshake failed: \(SystemError.text(of: socketError))") }
        return .last("shake hands over TLS")
    }
}
