import Bytes
import JSON

extension AccessLine {
    /// One object; README says what each member is.
    func appendJSON(to buffer: ByteBuffer) {
        let record = exchange.record
        let text = record.text
        buffer.append("{\"time\":\"")
        buffer.append(Timestamp(unixMilliseconds: unixMilliseconds))
        buffer.append("\",\"level\":\"")
        buffer.append(record.status == 0 || record.status >= 500 ? "error" : record.status >= 400 ? "warning" : "info")
        buffer.append("\",\"method\":")
        buffer.append(jsonString: record.method.bytes(in: text.bytes))
        buffer.append(",\"path\":")
        buffer.append(jsonString: record.path.bytes(in: text.bytes))
        buffer.append(",\"status\":")
        buffer.append(decimal: Int(record.status))
        buffer.append(",\"bytes\":")
        buffer.append(decimal: record.byteCount)
        buffer.append(",\"duration_ms\":")
        Self.append(milliseconds: nanoseconds, to: buffer)
        buffer.append(",\"policy_ms\":")
        appendOrNull(milliseconds: record.policyNanoseconds, to: buffer)
        buffer.append(",\"upstream_ms\":")
        appendOrNull(milliseconds: record.upstreamNanoseconds, to: buffer)
        buffer.append(",\"user\":")
        Self.withUser(record, exchange.check) { user in
            if let user { buffer.append(jsonString: user) } else { buffer.append("\"unauthenticated\"") }
        }
        buffer.append(",\"client\":")
        withClient { buffer.append(jsonOrNull: $0) }
        buffer.append(",\"host\":")
        buffer.append(jsonOrNull: record.host.bytes(in: text.bytes))
        let route = record.routeIndex.map { exchange.worker.configuration.routes[$0] }
        buffer.append(",\"route\":")
        buffer.append(jsonOrNull: route?.prefix)
        buffer.append(",\"upstream\":")
        let upstream = route?.upstream
        buffer.append(jsonOrNull: record.endpointIndex.flatMap { upstream?.endpoints[$0].url } ?? upstream?.name)
        buffer.append(",\"reason\":\"")
        appendReason(to: buffer)
        buffer.append("\",\"request_id\":")
        let requestID = exchange.correlation.requestID
        buffer.append(jsonOrNull: requestID.bytes)
        appendTrace(to: buffer)
        buffer.append("}")
    }

    private func appendOrNull(milliseconds nanoseconds: Int64?, to buffer: ByteBuffer) {
        if let nanoseconds { Self.append(milliseconds: nanoseconds, to: buffer) } else { buffer.append("null") }
    }

    private func appendTrace(to buffer: ByteBuffer) {
        guard let trace = exchange.correlation.trace else { return buffer.append(",\"trace_id\":null,\"span_id\":null") }
        buffer.append(",\"trace_id\":\"")
        trace.appendTrace(to: buffer)
        buffer.append("\",\"span_id\":\"")
        buffer.append(hexadecimal: trace.parent)
        buffer.append("\"")
    }

    /// The proxy's own reason where it ended the exchange, else the verdict's.
    private func appendReason(to buffer: ByteBuffer) {
        if let reason = exchange.record.reason { return buffer.append(reason.name) }
        guard exchange.record.hasVerdict, let reason = exchange.check.verdict?.reason else { return buffer.append("none") }
        let payload = exchange.check.payload
        buffer.append(reason.bytes(in: payload.bytes))
    }
}

extension ByteBuffer {
    fileprivate func append(jsonOrNull text: String?) {
        if let text { append(jsonString: text) } else { append("null") }
    }

    fileprivate func append(jsonOrNull text: Span<UInt8>) {
        if text.isEmpty { append("null") } else { append(jsonString: text) }
    }
}
