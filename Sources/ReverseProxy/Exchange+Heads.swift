import Bytes
import HTTPMessage

/// The heads that the proxy writes: the request's to the upstream, the response's to the client.
extension Exchange {
    /// Writes the request's head into `upstreamOutput`: hop-by-hop fields out, owned names out, verdict in.
    ///
    /// - Parameters:
    ///   - pool: the upstream's, whose authority becomes `Host`. From one of HTTP/2 the proxy takes trailers whatever happens, and says so where
    ///     the client does.
    func appendRequestHead(for pool: UpstreamPool, from client: ClientConnection) {
        let (input, output, payload) = (self.input, upstreamOutput, check.payload)
        let bytes = input.bytes
        worker.buffers.furnish(output)
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
        let ownedNames = check.session.map(worker.ownedNames(of:))
        // At hand: to look into the exchange's own would retain them each time.
        let operations = self.operations.request
        var kept = KeptLines()
        for field in head.fields {
            if passesToUpstream(field, ownedNames, bytes, operations, payload.bytes) {
                kept.keep(field.line)
            } else {
                kept.flush(bytes, to: output)
            }
        }
        kept.flush(bytes, to: output)
        operations.append(to: output, from: payload.bytes)
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
        _ field: FieldLine, _ ownedNames: NameSet?, _ bytes: Span<UInt8>, _ operations: HeaderOperations, _ payload: Span<UInt8>
    ) -> Bool {
        switch field.kind {
        case .host, .contentLength, .transferEncoding, .connection, .hopByHop, .forwarded: return false
        case .expect where head.minorVersion == 0: return false
        case .other, .via, .date, .headOnly, .expect: break
        }
        let name = field.name.bytes(in: bytes)
        if ownedNames?.contains(name) ?? true { return false }
        if worker.writtenRequestNames.contains(name) { return correlation.keepsTraceState && name.equalsIgnoringCase("tracestate") }
        if operations.replace(name, in: payload) { return false }
        return !(head.connection.namesFields && ConnectionOptions.name(name, in: head.fields, of: bytes))
    }

    /// Whether a trailer field of the request goes on: nothing that frames, routes or identifies may come in by that door.
    func passesToUpstream(trailer: FieldLine, _ bytes: Span<UInt8>) -> Bool {
        guard trailer.kind == .other || trailer.kind == .date, let session = check.session else { return false }
        let payload = check.payload
        let name = trailer.name.bytes(in: bytes)
        return !worker.ownedNames(of: session).contains(name) && !worker.writtenRequestNames.contains(name)
            && !operations.request.replace(name, in: payload.bytes)
    }

    /// Who asked for what, by which way (RFC 9110 §7.6.3). What the client itself says of it is not believed, so not passed on.
    private func appendForwardingFields(_ client: ClientConnection, _ bytes: Span<UInt8>) {
        let (output, chain, peerAddress) = (upstreamOutput, origin.chain, client.peerAddress)
        if !chain.isEmpty {
            output.append("X-Forwarded-For: ")
            output.append(chain.bytes)
            if !peerAddress.isEmpty { output.append(", ") }
            output.append(peerAddress.span)
            output.append("\r\n")
        } else if !peerAddress.isEmpty {
            output.append(field: "X-Forwarded-For", peerAddress.span)
        }
        output.append((origin.scheme ?? client.listener.scheme) == .https ? "X-Forwarded-Proto: https\r\n" : "X-Forwarded-Proto: http\r\n")
        let host = self.host.bytes(in: bytes)
        if !host.isEmpty { output.append(field: "X-Forwarded-Host", host) }
        if worker.configuration.sendsForwarded { appendForwarded(client, host) }
        output.append(client.isHTTP2 ? "Via: 2.0 gatehouse\r\n" : head.minorVersion == 1 ? "Via: 1.1 gatehouse\r\n" : "Via: 1.0 gatehouse\r\n")
    }

    /// The same in one field (RFC 7239): for whom the request is, and behind that which trusted proxy it came by.
    private func appendForwarded(_ client: ClientConnection, _ host: Span<UInt8>) {
        let (output, address, peerAddress) = (upstreamOutput, clientAddress(client), client.peerAddress)
        output.append("Forwarded: for=")
        output.append(node: address.span)
        if !host.isEmpty {
            output.append(";host=\"")
            output.append(host)
            output.append("\"")
        }
        output.append((origin.scheme ?? client.listener.scheme) == .https ? ";proto=https" : ";proto=http")
        if origin.client != nil {
            output.append(", for=")
            output.append(node: peerAddress.span)
        }
        output.append("\r\n")
    }

    /// A verdict has the last word where it sets or removes one of these fields.
    private func appendCorrelation(_ payload: Span<UInt8>) {
        let (output, requestID) = (upstreamOutput, correlation.requestID)
        if !requestID.isEmpty, !operations.request.replace("x-request-id", in: payload) {
            output.append(field: "X-Request-Id", requestID.bytes)
        }
        if let trace = correlation.trace, !operations.request.replace("traceparent", in: payload) {
            output.append("traceparent: ")
            trace.append(to: output)
            output.append("\r\n")
        }
    }

    /// Tells the client the request's id, so that it can name it when it asks why.
    func appendRequestID() {
        let (output, requestID, payload) = (self.output, correlation.requestID, check.payload)
        guard !requestID.isEmpty, !operations.response.replace("x-request-id", in: payload.bytes) else { return }
        output.append(field: "X-Request-Id", requestID.bytes)
    }

    /// Writes the head of the response that stands in `upstreamInput` for the client into `output`.
    ///
    /// - Parameters:
    ///   - coding: how the content is written on; nil where there is none.
    ///   - keepsAlive: whether the client's connection outlives this response.
    /// - Returns: whether ``WorkerState/writtenHead`` says what the head is made of: until the worker writes or sends another one.
    func appendResponseHead(_ coding: BodyReader.Coding?, keepsAlive: Bool, for client: ClientConnection) -> Bool {
        var head: WrittenHead?
        // Behind an interim response its lines would be elsewhere.
        guard client.isHTTP2, output.isEmpty else {
            appendResponseHead(coding, keepsAlive: keepsAlive, by: client.listener, noting: &head)
            return false
        }
        head = exchange(&worker.state.writtenHead, with: WrittenHead())
        appendResponseHead(coding, keepsAlive: keepsAlive, by: client.listener, noting: &head)
        if let head { worker.state.writtenHead = head }
        return true
    }

    /// - Parameters:
    ///   - listener: the client's, which may have a field of its own to add.
    ///   - note: notes what the head is made of.
    private func appendResponseHead(_ coding: BodyReader.Coding?, keepsAlive: Bool, by listener: ListenerSetup, noting note: inout WrittenHead?) {
        let (input, output, payload) = (upstreamInput, self.output, check.payload)
        // At hand: to look into the exchange's own would retain them each time.
        let operations = self.operations.response
        let bytes = input.bytes
        worker.buffers.furnish(output)
        output.append("HTTP/1.1 ")
        output.append(decimal: Int(response.status))
        output.append(" ")
        output.append(response.reason.bytes(in: bytes))
        output.append("\r\n")
        note?.begin(response.status)
        var kept = KeptLines()
        var hasDate = false
        for field in response.fields {
            if field.kind == .date { hasDate = true }
            if !listener.replaces(field, in: bytes), passesToClient(field, hasContent: coding != nil, bytes, operations, payload.bytes) {
                let start = kept.keep(field.line)
                note?.note(field, movedBy: output.count - start)
            } else {
                kept.flush(bytes, to: output)
            }
        }
        kept.flush(bytes, to: output)
        note?.pass(to: output.count)
        operations.forEachThatSets(payload.bytes) { name, value in
            output.append(field: name, value)
            note?.noteLine(name.count, endingAt: output.count)
        }
        appendRequestID()
        note?.noteLine("X-Request-Id".utf8.count, endingAt: output.count)
        output.append(listener.strictTransportSecurityLine)
        note?.noteLine("Strict-Transport-Security".utf8.count, endingAt: output.count)
        if !hasDate {
            output.append("Date: ")
            worker.date.append(to: output)
            output.append("\r\n")
            note?.noteLine("Date".utf8.count, endingAt: output.count)
        }
        var framing = BodyFraming.untilClose
        switch (coding, response.framing) {
        case (nil, _): framing = .none
        case (.identity?, .length(let length)):
            framing = .length(length)
            output.append(contentLength: length)
            note?.noteLine("Content-Length".utf8.count, endingAt: output.count)
        case (.chunked?, _):
            framing = .chunked
            output.append("Transfer-Encoding: chunked\r\n")
        default: break
        }
        if !keepsAlive {
            output.append("Connection: close\r\n")
        } else if head.minorVersion == 0 {
            output.append("Connection: keep-alive\r\n")
        }
        output.append("\r\n")
        note?.end(framing, at: output.count)
    }

    /// Writes an interim response on as it is, but for what concerns the upstream's connection alone.
    func appendInterimHead() {
        let (input, output) = (upstreamInput, self.output)
        let bytes = input.bytes
        output.append("HTTP/1.1 ")
        output.append(decimal: Int(response.status))
        output.append(" ")
        output.append(response.reason.bytes(in: bytes))
        output.append("\r\n")
        for field in response.fields where field.kind == .other && !isNamedByConnection(field, bytes) {
            output.append(field.line.bytes(in: bytes))
        }
        output.append("\r\n")
    }

    /// Writes a response that switches to WebSocket.
    func appendSwitchingHead() {
        let (input, output, payload) = (upstreamInput, self.output, check.payload)
        let bytes = input.bytes
        worker.buffers.furnish(output)
        output.append("HTTP/1.1 101 Switching Protocols\r\n")
        output.append(WebSocketHandshake.fields)
        let operations = self.operations.response
        for field in response.fields where passesToClient(field, hasContent: true, bytes, operations, payload.bytes) {
            output.append(field.line.bytes(in: bytes))
        }
        operations.append(to: output, from: payload.bytes)
        appendRequestID()
        output.append("\r\n")
    }

    private func passesToClient(
        _ field: FieldLine, hasContent: Bool, _ bytes: Span<UInt8>, _ operations: HeaderOperations, _ payload: Span<UInt8>
    ) -> Bool {
        switch field.kind {
        case .connection, .hopByHop, .transferEncoding: return false
        // Without content it says how long the content would have been (RFC 9110 §8.6), but not with 204.
        case .contentLength: return !hasContent && response.framing == .none && response.status != 204
        default: break
        }
        let name = field.name.bytes(in: bytes)
        if worker.writtenResponseNames.contains(name) || operations.replace(name, in: payload) { return false }
        return !isNamedByConnection(field, bytes)
    }

    /// Whether a trailer field of the response goes on: the verdict holds for it as for the head.
    func passesToClient(trailer: FieldLine, _ bytes: Span<UInt8>) -> Bool {
        guard trailer.kind == .other || trailer.kind == .date else { return false }
        let (name, payload) = (trailer.name.bytes(in: bytes), check.payload)
        return !worker.writtenResponseNames.contains(name) && !operations.response.replace(name, in: payload.bytes)
    }

    /// Whether the response says that this field of it concerns the upstream's connection alone.
    private func isNamedByConnection(_ field: FieldLine, _ bytes: Span<UInt8>) -> Bool {
        response.connection.namesFields && ConnectionOptions.name(field.name.bytes(in: bytes), in: response.fields, of: bytes)
    }
}

/// Consecutive lines that go on, copied as one.
private struct KeptLines {
    private var run: Range<Int>?

    /// - Returns: where the first of the lines begins that are copied together with it.
    @discardableResult
    mutating func keep(_ line: ByteRange) -> Int {
        let start = run?.lowerBound ?? line.start
        run = start..<line.end
        return start
    }

    mutating func flush(_ bytes: Span<UInt8>, to output: ByteBuffer) {
        guard let run else { return }
        output.append(bytes.extracting(run))
        self.run = nil
    }
}

extension ByteBuffer {
    fileprivate func append(contentLength: Int) {
        append("Content-Length: ")
        append(decimal: contentLength)
        append("\r\n")
    }

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
