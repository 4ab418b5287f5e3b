import Bytes
import HTTPMessage
import PolicyClient

/// The request's head, as the proxy writes it for the upstream.
extension Exchange {
    /// Writes the request's head into `upstreamOutput`: hop-by-hop fields out, owned names out, verdict in.
    ///
    /// - Parameters:
    ///   - pool: the upstream's, whose authority becomes `Host`. From one of HTTP/2 the proxy takes trailers whatever happens, and says so where
    ///     the client does.
    func appendRequestHead(for pool: UpstreamPool, from client: ClientConnection) {
        let (input, output, payload) = (self.input, upstreamOutput, verdictPayload)
        let bytes = input.bytes
        buffers.furnish(output)
        output.append(head.methodName.bytes(in: bytes))
        output.append(" ")
        if let query = check.verdict?.query {
            output.append(target.path.bytes(in: bytes))
            if !query.isEmpty { output.append("?") }
            output.append(query.bytes(in: payload.bytes))
        } else {
            output.append(target.range.bytes(in: bytes))
        }
        output.append(" HTTP/1.1\r\nHost: ")
        output.append(pool.authority)
        output.append("\r\n")
        let session = check.session
        var kept = KeptLines()
        for field in head.fields {
            if passesToUpstream(field, session, bytes, payload.bytes) {
                kept.keep(field.line)
            } else {
                kept.flush(bytes, to: output)
            }
        }
        kept.flush(bytes, to: output)
        operations.request.append(to: output, from: payload.bytes)
        if pool.isHTTP2, saysTrailers(bytes) { output.append("TE: trailers\r\n") }
        appendForwardingFields(client, bytes)
        appendCorrelation(payload.bytes)
        if record.asksForWebSocket { output.append(WebSocketHandshake.fields) }
        switch head.framing {
        case .none, .untilClose: break
        case .length(let length): output.append(contentLength: length)
        case .chunked: output.append("Transfer-Encoding: chunked\r\n")
        }
        output.append("\r\n")
    }

    /// Whether the client says that it takes trailers (RFC 9110 §10.1.4), as gRPC wants to hear.
    private func saysTrailers(_ bytes: Span<UInt8>) -> Bool {
        for field in head.fields where field.kind == .hopByHop && field.name.bytes(in: bytes).equalsIgnoringCase("te") {
            return field.value.bytes(in: bytes).equalsIgnoringCase("trailers")
        }
        return false
    }

    private func passesToUpstream(
        _ field: FieldLine, _ session: PolicySession?, _ bytes: Span<UInt8>, _ payload: Span<UInt8>
    ) -> Bool {
        switch field.kind {
        case .host, .contentLength, .transferEncoding, .connection, .hopByHop, .forwarded: return false
        case .expect where head.minorVersion == 0: return false
        case .other, .via, .date, .headOnly, .expect: break
        }
        let name = field.name.bytes(in: bytes)
        if session?.owns(name) ?? true { return false }
        if worker.writtenRequestNames.contains(name) { return correlation.keepsTraceState && name.equalsIgnoringCase("tracestate") }
        if operations.request.concerns(name, in: payload) { return false }
        return !(head.connection.namesFields && ConnectionOptions.name(name, in: head.fields, of: bytes))
    }

    /// Whether a trailer field of the request goes on: nothing that frames, routes or identifies may come in by that door.
    func passesToUpstream(trailer: FieldLine, _ bytes: Span<UInt8>) -> Bool {
        guard trailer.kind == .other || trailer.kind == .date, let session = check.session else { return false }
        let payload = check.payload
        let name = trailer.name.bytes(in: bytes)
        return !session.owns(name) && !worker.writtenRequestNames.contains(name)
            && !operations.request.concerns(name, in: payload.bytes)
    }

    /// Who asked for what, by which way (RFC 9110 §7.6.3). What the client itself says of it is not believed, so not passed on.
    private func appendForwardingFields(_ client: ClientConnection, _ bytes: Span<UInt8>) {
        let (output, peerAddress) = (upstreamOutput, client.peer.address)
        if origin.isTold, !origin.chain.isEmpty {
            let chain = origin.chain
            output.append("X-Forwarded-For: ")
            output.append(chain.bytes)
            if !peerAddress.isEmpty { output.append(", ") }
            output.append(peerAddress.span)
            output.append("\r\n")
        } else if !peerAddress.isEmpty {
            output.append(field: "X-Forwarded-For", peerAddress.span)
        }
        output.append((origin.scheme ?? client.peer.listener.scheme) == .https ? "X-Forwarded-Proto: https\r\n" : "X-Forwarded-Proto: http\r\n")
        let host = self.host.bytes(in: bytes)
        if !host.isEmpty { output.append(field: "X-Forwarded-Host", host) }
        if worker.configuration.sendsForwarded { appendForwarded(client, host) }
        output.append(client.isHTTP2 ? "Via: 2.0 gatehouse\r\n" : head.minorVersion == 1 ? "Via: 1.1 gatehouse\r\n" : "Via: 1.0 gatehouse\r\n")
    }

    /// The same in one field (RFC 7239): for whom the request is, and behind that which trusted proxy it came by.
    private func appendForwarded(_ client: ClientConnection, _ host: Span<UInt8>) {
        let (output, address, peerAddress) = (upstreamOutput, clientAddress(client), client.peer.address)
        output.append("Forwarded: for=")
        output.append(node: address.span)
        if !host.isEmpty {
            output.append(";host=\"")
            output.append(host)
            output.append("\"")
        }
        output.append((origin.scheme ?? client.peer.listener.scheme) == .https ? ";proto=https" : ";proto=http")
        if origin.client != nil {
            output.append(", for=")
            output.append(node: peerAddress.span)
        }
        output.append("\r\n")
    }

    /// A verdict has the last word where it sets or removes one of these fields.
    private func appendCorrelation(_ payload: Span<UInt8>) {
        guard correlation.isNoted else { return }
        let (output, requestID) = (upstreamOutput, correlation.requestID)
        if !requestID.isEmpty, !operations.request.concerns("x-request-id", in: payload) {
            output.append(field: "X-Request-Id", requestID.bytes)
        }
        if let trace = correlation.trace, !operations.request.concerns("traceparent", in: payload) {
            output.append("traceparent: ")
            trace.append(to: output)
            output.append("\r\n")
        }
    }
}

extension ByteBuffer {
    /// Appends an address as a node of `Forwarded` (RFC 7239 §6); an IPv6 address in brackets and quotes.
    fileprivate func append(node address: Span<UInt8>) {
        guard !address.isEmpty else { return append("unknown") }
        for index in address.indices where address[index] == UInt8(ascii: ":") {
            append("\"[")
            append(address)
            return append("]\"")
        }
        append(address)
    }
}
