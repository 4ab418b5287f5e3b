import Bytes
import EventLoop
import HTTPMessage
import PolicyClient
import PolicyProtocol

extension Exchange {
    /// What the policy daemon made of the request.
    enum Asked {
        case allowed
        case denied
        /// Nobody is asked.
        case refused(MessageRefusal)
        /// Nobody decided, so nothing is forwarded. The text says why, for the log.
        case unanswered(String)
    }

    /// Asks once, and waits for the verdict. It is never asked again: whether a lost CHECK was counted cannot be known.
    func ask(_ client: ClientConnection) async -> Asked {
        var found = policy.usableConnection()
        if found == nil { found = await policy.awaitConnection(on: client.waiter) }
        guard let connection = found else { return .unanswered("no policy daemon answers") }
        if head.connection.namesFields, namesWantedHeader(connection.session) {
            return .refused(MessageRefusal("The Connection field names a field that the request is judged by."))
        }
        check.waiter = client.waiter
        send(client, on: connection)
        let start = worker.isTimed ? Clock.monotonicNanoseconds() : 0
        await check.wait()
        if worker.isTimed { record.policyNanoseconds = Clock.monotonicNanoseconds() - start }
        guard let verdict = check.verdict else {
            if case .lost(let loss) = check.state { return .unanswered("\(loss)") }
            return .unanswered("the policy daemon gave no verdict")
        }
        record.hasVerdict = true
        operations = VerdictOperations(of: verdict)
        return verdict.decision == .allow ? .allowed : .denied
    }

    /// Whether `Connection` names a field of this request that the daemon would see, and the upstream would not.
    private func namesWantedHeader(_ session: PolicySession) -> Bool {
        let input = self.input
        let bytes = input.bytes
        for field in head.fields where field.kind != .hopByHop {
            let name = field.name.bytes(in: bytes)
            guard ConnectionOptions.name(name, in: head.fields, of: bytes) else { continue }
            for wantedName in session.wantedHeaders where name.equalsIgnoringCase(wantedName.span) { return true }
        }
        return false
    }

    /// The address of whom the request comes from, as text; empty where nobody knows more than that it came by a Unix socket.
    func clientAddress(_ client: ClientConnection) -> [UInt8] { origin.client == nil ? client.peer.address : origin.address }

    /// The host that the client asked.
    var host: ByteRange { origin.host.isEmpty ? head.host : origin.host }

    private func send(_ client: ClientConnection, on connection: PolicyConnection) {
        let input = self.input
        let bytes = input.bytes
        let (session, address) = (connection.session, clientAddress(client))
        connection.send(
            check, method: head.methodName.bytes(in: bytes), scheme: origin.scheme ?? client.peer.listener.scheme, authority: host.bytes(in: bytes),
            target: target.range.bytes(in: bytes), peerAddress: address.span,
            peerPort: origin.client == nil ? client.peer.port : nil
        ) { writer in
            if let certificate = client.peer.certificate { writer.certificate(certificate.span) }
            let bytes = input.bytes
            for field in head.fields {
                let name = field.name.bytes(in: bytes)
                guard session.mayWant(name.foldedNameBit) else { continue }
                for wantedName in session.wantedHeaders where name.equalsIgnoringCase(wantedName.span) {
                    writer.header(name: wantedName.span, value: field.value.bytes(in: bytes))
                }
            }
        }
    }
}
