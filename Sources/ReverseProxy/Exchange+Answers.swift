import Bytes
import HTTPMessage
import JSON
import PolicyProtocol

/// The answers that the proxy gives itself.
extension Exchange {
    /// What of a refused request's content is read and dropped so that its connection can be kept.
    private static let discardedBytes = 64 * 1024

    func answerHealth(_ client: ClientConnection) async -> AfterExchange {
        record.reason = .health
        let body = upstreamOutput   // free while nothing is forwarded
        body.append("{\"gateway\":\"ok\",\"timestamp\":\"")
        body.append(Timestamp(unixMilliseconds: worker.loop.nowUnixMilliseconds))
        body.append("\"}")
        return await answer(200, client)
    }

    /// Passes on the answer that the verdict carries.
    func answerDenial(_ client: ClientConnection) async -> AfterExchange {
        guard let verdict = check.verdict, let status = verdict.status else {
            return await answerUnavailable("a denial without a status", client)
        }
        let payload = check.payload
        upstreamOutput.append(verdict.body.bytes(in: payload.bytes))
        return await answer(status, client)
    }

    func answerUnavailable(_ why: String, _ client: ClientConnection) async -> AfterExchange {
        record.reason = .policyUnavailable
        worker.policyOutage.note(why)
        appendError(503) { $0.append("The policy service is unavailable. Please try again later.") }
        return await answer(503, client) { $0.append("Retry-After: 1\r\n") }
    }

    func answerNoRoute(_ client: ClientConnection) async -> AfterExchange {
        record.reason = .routeUnknown
        let (text, method, path) = (record.text, record.method, record.path)
        appendError(404) { message in
            message.append("No route configured for ")
            message.append(method.bytes(in: text.bytes))
            message.append(" ")
            message.append(path.bytes(in: text.bytes))
        }
        return await answer(404, client)
    }

    /// Sends the client to the same target over TLS, with the same method (RFC 9110 §15.4.9).
    func answerRedirect(_ redirect: SecureRedirect, _ client: ClientConnection) async -> AfterExchange {
        let input = self.input
        guard let origin = redirect.origin(of: host.bytes(in: input.bytes).text) else {
            record.reason = .hostUnknown
            appendError(421) { $0.append("No certificate is for the host of this request.") }
            return await answer(421, client)
        }
        record.reason = .redirected
        appendError(308) { $0.append("This address is served over TLS.") }
        let target = self.target
        return await answer(308, client) { output in
            output.append("Location: ")
            output.append(utf8: origin)
            output.append(target.range.bytes(in: input.bytes))
            output.append("\r\n")
        }
    }

    func answerUpstreamDown(_ reason: ProxyReason, _ client: ClientConnection) async -> AfterExchange {
        await answerUpstream(502, " is unavailable.", reason, client)
    }

    func answerUpstreamTimeout(_ client: ClientConnection) async -> AfterExchange {
        await answerUpstream(504, " did not answer in time.", .upstreamTimeout, client)
    }

    /// Answers a request that no endpoint was asked about, since none should be.
    func answerUpstreamClosed(
        _ what: StaticString, _ reason: ProxyReason, retryAfterMilliseconds: Int64, _ client: ClientConnection
    ) async -> AfterExchange {
        await answerUpstream(503, what, reason, client) { fields in
            fields.append("Retry-After: ")
            fields.append(decimal: max(1, Int((retryAfterMilliseconds + 999) / 1000)))
            fields.append("\r\n")
        }
    }

    private func answerUpstream(
        _ status: UInt16, _ what: StaticString, _ reason: ProxyReason, _ client: ClientConnection,
        fields: (ByteBuffer) -> Void = { _ in }
    ) async -> AfterExchange {
        record.reason = reason
        record.noteUpstream()
        upstreamOutput.clear()
        let title = record.routeIndex.map { worker.configuration.routes[$0].upstream.title } ?? ""
        appendError(status) { message in
            message.append("Upstream service ")
            message.append(utf8: title)
            message.append(what)
        }
        return await answer(status, client, fields: fields)
    }

    /// Answers a request that is not read on; its connection is closed.
    func refuse(_ refusal: MessageRefusal, _ client: ClientConnection) async -> AfterExchange {
        record.reason = refusal.status == 408 ? .clientTooSlow : .requestMalformed
        upstreamOutput.clear()
        appendError(refusal.status) { $0.append(utf8: refusal.message) }
        let allow: StaticString = refusal.status == 405 ? "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n" : ""
        return await answer(refusal.status, client, mustClose: true) { $0.append(allow) }
    }

    /// Puts `{"error":"<reason phrase>","message":"…"}` into the body.
    private func appendError(_ status: UInt16, _ appendMessage: (ByteBuffer) -> Void) {
        let body = upstreamOutput
        body.append("{\"error\":\"")
        body.append(StatusCode.phrase(status))
        body.append("\",\"message\":")
        let message = upstreamInput   // free while nothing is forwarded
        message.clear()
        appendMessage(message)
        body.append(jsonString: message.bytes)
        message.clear()
        body.append("}")
    }

    /// Sends an answer whose body stands in `upstreamOutput`.
    ///
    /// - Parameter fields: appends what this answer needs beside the framing and the verdict's fields.
    private func answer(
        _ status: UInt16, _ client: ClientConnection, mustClose: Bool = false, fields: (ByteBuffer) -> Void = { _ in }
    ) async -> AfterExchange {
        if record.isGRPC { return await answerGRPC(status, client, fields: fields) }
        let body = upstreamOutput
        let discarded = mustClose ? nil : discardableContent(of: client)
        let output = self.output
        output.clear()
        buffers.furnish(output)
        output.append("HTTP/1.1 ")
        output.append(decimal: Int(status))
        output.append(" ")
        output.append(StatusCode.phrase(status))
        output.append("\r\n")
        if !(record.hasVerdict && check.verdict?.decision == .deny) { output.append("Content-Type: application/json\r\n") }
        if record.hasVerdict {
            let payload = check.payload
            operations.response.append(to: output, from: payload.bytes)
        }
        appendRequestID()
        fields(output)
        if !verdictConcerns("strict-transport-security") { output.append(client.peer.listener.strictTransportSecurityLine) }
        output.append(contentLength: body.count)
        appendDate()
        output.append(discarded == nil ? "Connection: close\r\n\r\n" : head.minorVersion == 0 ? "Connection: keep-alive\r\n\r\n" : "\r\n")
        if !record.isHeadRequest {
            output.append(body.bytes)
            record.byteCount = body.count
        }
        record.status = status
        body.clear()
        guard await deliver(to: client) else { return .close }
        guard let discarded else { return .linger }
        return await discard(discarded, of: client) ? .keepAlive : .linger
    }

    /// Appends `Date` to an answer of the proxy's own, unless the verdict sets it.
    func appendDate() {
        guard !verdictConcerns("date") else { return }
        output.append("Date: ")
        worker.date.append(to: output)
        output.append("\r\n")
    }

    private func verdictConcerns(_ name: StaticString) -> Bool {
        let payload = check.payload
        return record.hasVerdict && operations.response.concerns(name, in: payload.bytes)
    }

    /// How many bytes of the request's content stand between this answer and the next request; nil where the connection is
    /// better closed than read on.
    private func discardableContent(of client: ClientConnection) -> Int? {
        // A stream of HTTP/2 ends with its answer: there is no connection to keep.
        guard !client.isHTTP2, record.hasHead, head.keepsAlive, !worker.isDraining else { return nil }
        switch head.framing {
        case .none: return 0
        // A client that waits for 100 (Continue) may send the content or not (RFC 9110 §10.1.1): where the next request begins is anyone's guess.
        case .length(let length): return length == 0 ? 0 : length <= Self.discardedBytes && !head.expectsContinue ? length : nil
        case .chunked, .untilClose: return nil
        }
    }

    private func discard(_ byteCount: Int, of client: ClientConnection) async -> Bool {
        consumeHead()
        var left = byteCount
        client.waiter.setDeadline(afterMilliseconds: worker.configuration.timeouts.body)
        while true {
            let taken = min(left, input.count)
            input.consume(taken)
            left -= taken
            guard left > 0 else { return true }
            while !client.stream.isReadable {
                guard !client.waiter.isDue, !worker.isDrainOver else { return false }
                await client.waiter.park()
            }
            switch client.stream.receive(into: input) {
            case .received, .wouldBlock: continue
            case .ended, .failed: return false
            }
        }
    }

    /// Sends all that is in `output`. False where the client has left, or does not read.
    func deliver(to client: ClientConnection) async -> Bool {
        client.waiter.setDeadline(afterMilliseconds: worker.configuration.timeouts.body)
        while true {
            switch client.stream.send(output) {
            case .sent: return true
            case .failed: return false
            case .wouldBlock:
                while !client.stream.isWritable {
                    guard !client.waiter.isDue, !worker.isDrainOver else { return false }
                    await client.waiter.park()
                }
            }
        }
    }
}
