import Bytes
import EventLoop
import PolicyProtocol
import TLS

extension ClientConnection {
    /// Begins what the listener wants spoken on a connection it brought. Nil where that came to nothing.
    static func open(
        _ socket: Socket, from address: SocketAddress, _ arrival: Arrival, at listener: ListenerSetup, on waiter: Waiter, in worker: WorkerContext
    ) async -> ClientConnection? {
        let trusted = worker.configuration.trustedProxies
        guard let certificates = listener.certificates else {
            let peer = ClientPeer(address, arrival, at: listener, certificate: nil, trusted: trusted)
            return ClientConnection(socket, from: peer, on: waiter, in: worker)
        }
        do throws(TLSFailure) {
            let stream = try await beginTLS(on: socket, certificates, waiter, worker)
            let certificate = try described(try stream.peerCertificate)
            let peer = ClientPeer(address, arrival, at: listener, certificate: certificate, trusted: trusted)
            return ClientConnection(stream, from: peer, on: waiter, in: worker)
        } catch {
            // Whoever scans the network causes these: no matter for the operator.
            worker.state.logger.debug("no TLS with \(address): \(error)")
            return nil
        }
    }

    /// What CHECKs say of a client's certificate. One that they can't is refused: nobody could judge by it.
    private static func described(_ certificate: PeerCertificate?) throws(TLSFailure) -> [UInt8]? {
        guard let certificate else { return nil }
        let names = certificate.names.map { name -> (kind: CertificateNameKind, text: String) in
            switch name.kind {
            case .domain: (.domain, name.text.lowercasedASCII)
            case .uri: (.uri, name.text)
            case .email: (.email, name.text)
            }
        }
        do throws(ProtocolError) {
            return try CertificateField.encode(fingerprint: certificate.fingerprint, subject: certificate.subject, names: names)
        } catch {
            throw TLSFailure("the client's certificate is refused: \(error.message)")
        }
    }

    private static func beginTLS(
        on socket: Socket, _ certificates: ServerCertificates, _ waiter: Waiter, _ worker: WorkerContext
    ) async throws(TLSFailure) -> TLSStream {
        let timeout = worker.configuration.timeouts.head
        socket.waiter = waiter
        waiter.setDeadline(afterMilliseconds: timeout)
        // A client that says nothing costs its socket and no more, and is not waited for long by a drain.
        while !socket.isReadable, !waiter.isDue, !worker.isDrainIdleOver { await waiter.park() }
        guard socket.isReadable else {
            socket.close()
            throw TLSFailure("the client did not begin it")
        }
        return try await TLSStream.accept(
            over: socket, certificates.current, on: waiter, timeoutMilliseconds: timeout, taking: worker.handshakes,
            unless: { worker.isDrainOver })
    }
}
