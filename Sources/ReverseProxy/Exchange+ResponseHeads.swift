import Bytes
import HTTPMessage
import PolicyProtocol

/// The response's heads, as the proxy writes them for the client.
extension Exchange {
    /// Tells the client the request's id, so that it can name it when it asks why.
    func appendRequestID() {
        guard correlation.isNoted else { return }
        let (output, requestID, payload) = (self.output, correlation.requestID, check.payload)
        guard !requestID.isEmpty, !operations.response.concerns("x-request-id", in: payload.bytes) else { return }
        output.append(field: "X-Request-Id", requestID.bytes)
    }

    /// Writes the head of the response that stands in `upstreamInput` for the client into `output`.
    ///
    /// - Parameters:
    ///   - coding: how the content is written on; nil where there is none.
    ///   - keepsAlive: whether the client's connection outlives this response.
    /// - Returns: whether ``WorkerState/writtenHead`` says what the head is made of: until the worker writes or sends another one.
    func appendResponseHead(_ coding: BodyReader.Coding?, keepsAlive: Bool, for client: ClientConnection) -> Bool {
        var noted: WrittenHead?
        // Behind an interim response its lines would be elsewhere.
        guard client.isHTTP2, output.isEmpty else {
            appendResponseHead(coding, keepsAlive: keepsAlive, by: client.peer.listener, noting: &noted)
            return false
        }
        noted = exchange(&worker.state.writtenHead, with: WrittenHead())
        appendResponseHead(coding, keepsAlive: keepsAlive, by: client.peer.listener, noting: &noted)
        if let noted { worker.state.writtenHead = noted }
        return true
    }

    /// - Parameters:
    ///   - listener: the client's, which may have a field of its own to add.
    ///   - noted: notes what the head is made of.
    private func appendResponseHead(_ coding: BodyReader.Coding?, keepsAlive: Bool, by listener: ListenerSetup, noting noted: inout WrittenHead?) {
        let (input, output, payload) = (upstreamInput, self.output, verdictPayload)
        // At hand: to look into the exchange's own would retain them each time.
        let operations = self.operations.response
        let bytes = input.bytes
        buffers.furnish(output)
        output.append("HTTP/1.1 ")
        output.append(decimal: Int(response.status))
        output.append(" ")
        output.append(response.reason.bytes(in: bytes))
        output.append("\r\n")
        noted?.begin(response.status)
        var kept = KeptLines()
        var hasDate = false
        for field in response.fields {
            if field.kind == .date { hasDate = true }
            if !listener.replaces(field, in: bytes), passesToClient(field, hasContent: coding != nil, bytes, operations, payload.bytes) {
                let start = kept.keep(field.line)
                noted?.note(field, movedBy: output.count - start)
            } else {
                kept.flush(bytes, to: output)
            }
        }
        kept.flush(bytes, to: output)
        noted?.skip(to: output.count)
        operations.forEachThatSets(payload.bytes) { name, value in
            output.append(field: name, value)
            noted?.noteLine(name.count, endingAt: output.count)
        }
        appendRequestID()
        noted?.noteLine("X-Request-Id".utf8.count, endingAt: output.count)
        if !operations.concerns("strict-transport-security", in: payload.bytes) {
            output.append(listener.strictTransportSecurityLine)
            noted?.noteLine("Strict-Transport-Security".utf8.count, endingAt: output.count)
        }
        if !hasDate, !operations.concerns("date", in: payload.bytes) {
            output.append("Date: ")
            worker.date.append(to: output)
            output.append("\r\n")
            noted?.noteLine("Date".utf8.count, endingAt: output.count)
        }
        var framing = BodyFraming.untilClose
        switch (coding, response.framing) {
        case (nil, _): framing = .none
        case (.identity?, .length(let length)):
            framing = .length(length)
            output.append(contentLength: length)
            noted?.noteLine("Content-Length".utf8.count, endingAt: output.count)
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
        noted?.end(framing, at: output.count)
    }

    /// Writes an interim response on as it is, but for what the verdict sets or takes out, and what concerns the upstream's connection alone.
    func appendInterimHead() {
        let (input, output, payload) = (upstreamInput, self.output, verdictPayload)
        let operations = self.operations.response
        let bytes = input.bytes
        output.append("HTTP/1.1 ")
        output.append(decimal: Int(response.status))
        output.append(" ")
        output.append(response.reason.bytes(in: bytes))
        output.append("\r\n")
        for field in response.fields where field.kind == .other && passesToClient(field, hasContent: false, bytes, operations, payload.bytes) {
            output.append(field.line.bytes(in: bytes))
        }
        output.append("\r\n")
    }

    /// Writes a response that switches to WebSocket.
    func appendSwitchingHead() {
        let (input, output, payload) = (upstreamInput, self.output, verdictPayload)
        let bytes = input.bytes
        buffers.furnish(output)
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
        if worker.writtenResponseNames.contains(name) || operations.concerns(name, in: payload) { return false }
        return !isNamedByConnection(field, bytes)
    }

    /// Whether a trailer field of the response goes on: the verdict holds for it as for the head.
    func passesToClient(trailer: FieldLine, _ bytes: Span<UInt8>) -> Bool {
        guard trailer.kind == .other || trailer.kind == .date else { return false }
        let (name, payload) = (trailer.name.bytes(in: bytes), check.payload)
        return !worker.writtenResponseNames.contains(name) && !operations.response.concerns(name, in: payload.bytes)
    }

    /// Whether the response says that this field of it concerns the upstream's connection alone.
    private func isNamedByConnection(_ field: FieldLine, _ bytes: Span<UInt8>) -> Bool {
        response.connection.namesFields && ConnectionOptions.name(field.name.bytes(in: bytes), in: response.fields, of: bytes)
    }
}
