import Bytes
import EventLoop
import HTTPMessage
import JSON
import PolicyProtocol

/// One worker's access log under one configuration: a line an exchange.
final class AccessLog {
    private let format: LogFormat
    private let lines: LogBatch
    private let loop: EventLoop

    init(_ lines: LogBatch, format: LogFormat, loop: EventLoop) {
        self.format = format
        self.lines = lines
        self.loop = loop
    }

    func write(_ exchange: Exchange) {
        guard format != .off else { return }
        let start = exchange.record.startNanoseconds
        let microseconds = start == 0 ? 0 : Int((Clock.monotonicNanoseconds() - start) / 1000)
        let line = AccessLine(exchange: exchange, microseconds: microseconds, unixMilliseconds: loop.nowUnixMilliseconds)
        lines.appendLine { buffer in
            if format == .json { line.appendJSON(to: buffer) } else { line.appendText(to: buffer) }
        }
    }
}

/// One line of the access log.
private struct AccessLine {
    let exchange: Exchange
    let microseconds: Int
    let unixMilliseconds: Int64

    /// `[GATEWAY] GET /api/projects 200 847B 12.4ms user=usr_9f3k2m`
    func appendText(to buffer: ByteBuffer) {
        let record = exchange.record
        let (method, path) = (record.method, record.path)
        buffer.append("[GATEWAY] ")
        if method.isEmpty { buffer.append("- -") } else {
            buffer.append(printable: method.bytes)
            buffer.append(" ")
            buffer.append(printable: path.bytes)
        }
        buffer.append(" ")
        buffer.append(decimal: Int(record.status))
        buffer.append(" ")
        buffer.append(decimal: record.byteCount)
        buffer.append("B ")
        appendMilliseconds(to: buffer)
        buffer.append("ms user=")
        withUser { user in
            if let user { buffer.append(printable: user) } else { buffer.append("unauthenticated") }
        }
    }

    func appendJSON(to buffer: ByteBuffer) {
        let record = exchange.record
        let (method, path) = (record.method, record.path)
        buffer.append("{\"time\":\"")
        buffer.append(Timestamp(unixMilliseconds: unixMilliseconds))
        buffer.append("\",\"level\":\"")
        buffer.append(record.status == 0 || record.status >= 500 ? "error" : record.status >= 400 ? "warning" : "info")
        buffer.append("\",\"method\":")
        buffer.append(jsonString: method.bytes)
        buffer.append(",\"path\":")
        buffer.append(jsonString: path.bytes)
        buffer.append(",\"status\":")
        buffer.append(decimal: Int(record.status))
        buffer.append(",\"bytes\":")
        buffer.append(decimal: record.byteCount)
        buffer.append(",\"duration_ms\":")
        appendMilliseconds(to: buffer)
        buffer.append(",\"user\":")
        withUser { user in
            if let user { buffer.append(jsonString: user) } else { buffer.append("\"unauthenticated\"") }
        }
        let route = record.routeIndex.map { exchange.worker.configuration.routes[$0] }
        buffer.append(",\"route\":")
        buffer.append(jsonOrNull: route?.prefix)
        buffer.append(",\"upstream\":")
        let upstream = route?.upstream
        buffer.append(jsonOrNull: record.endpointIndex.flatMap { upstream?.endpoints[$0].url } ?? upstream?.name)
        buffer.append(",\"reason\":\"")
        appendReason(to: buffer)
        buffer.append("\"}")
    }

    private func appendMilliseconds(to buffer: ByteBuffer) {
        buffer.append(decimal: microseconds / 1000)
        buffer.append(".")
        buffer.append(UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: microseconds / 100 % 10))
    }

    private func withUser(_ body: (borrowing Span<UInt8>?) -> Void) {
        guard exchange.record.hasVerdict, let subject = exchange.check.message?.subject else { return body(nil) }
        let payload = exchange.check.verdict
        body(subject.bytes(in: payload.bytes))
    }

    /// The proxy's own reason where it ended the exchange, else the verdict's.
    private func appendReason(to buffer: ByteBuffer) {
        if let reason = exchange.record.reason { return buffer.append(reason.name) }
        guard exchange.record.hasVerdict, let reason = exchange.check.message?.reason else { return buffer.append("none") }
        let payload = exchange.check.verdict
        buffer.append(reason.bytes(in: payload.bytes))
    }
}

extension ByteBuffer {
    /// Appends bytes so that they can neither end a line nor pretend to be another part of it: control characters, blanks and
    /// the backslash as `\xNN`.
    fileprivate func append(printable bytes: Span<UInt8>) {
        var previous: UInt8 = 0
        for index in bytes.indices {
            let byte = bytes[index]
            // U+0080 – U+009F are control characters too, written C2 80 – C2 9F.
            let isHighControl = previous == 0xC2 && byte >= 0x80 && byte <= 0x9F
            if byte <= 0x20 || byte == 0x7F || byte == UInt8(ascii: "\\") || isHighControl {
                append("\\x")
                append(hexadecimalDigit: byte >> 4)
                append(hexadecimalDigit: byte)
            } else {
                append(byte)
            }
            previous = byte
        }
    }

    fileprivate func append(jsonOrNull text: String?) {
        if let text { append(jsonString: text) } else { append("null") }
    }
}
