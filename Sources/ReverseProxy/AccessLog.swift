import Bytes
import EventLoop
import PolicyClient
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

    /// Whether a line shows the host, the referer and the user agent.
    var wantsDetails: Bool { format == .json || format == .combined }

    var isOff: Bool { format == .off }

    /// Writes the line of an exchange that has taken `nanoseconds`, where there is a log.
    func write(_ exchange: Exchange, _ client: ClientConnection, nanoseconds: Int64) {
        guard !isOff else { return }
        lines.appendLine { buffer in
            var line: AccessLine { AccessLine(exchange: exchange, client: client, nanoseconds: nanoseconds, unixMilliseconds: loop.nowUnixMilliseconds) }
            switch format {
            case .off: break
            // Without the exchange in hand, which would be retained for it: most lines are of this kind.
            case .gateway: AccessLine.appendText(exchange.record, exchange.check, nanoseconds: nanoseconds, to: buffer)
            case .combined: line.appendCombined(to: buffer)
            case .json: line.appendJSON(to: buffer)
            }
        }
    }
}

/// One line of the access log.
struct AccessLine {
    let exchange: Exchange
    let client: ClientConnection
    let nanoseconds: Int64
    let unixMilliseconds: Int64

    /// `[GATEWAY] GET /api/projects 200 847B 12.4ms user=usr_9f3k2m`
    static func appendText(_ record: AccessRecord, _ check: PendingCheck, nanoseconds: Int64, to buffer: ByteBuffer) {
        let text = record.text
        buffer.append("[GATEWAY] ")
        if record.method.isEmpty { buffer.append("- -") } else {
            buffer.append(printable: record.method.bytes(in: text.bytes))
            buffer.append(" ")
            buffer.append(printable: record.path.bytes(in: text.bytes))
        }
        buffer.append(" ")
        buffer.append(decimal: Int(record.status))
        buffer.append(" ")
        buffer.append(decimal: record.byteCount)
        buffer.append("B ")
        append(milliseconds: nanoseconds, to: buffer)
        buffer.append("ms user=")
        withUser(record, check) { user in
            if let user { buffer.append(printable: user) } else { buffer.append("unauthenticated") }
        }
    }

    /// With one decimal.
    static func append(milliseconds nanoseconds: Int64, to buffer: ByteBuffer) {
        let microseconds = Int(nanoseconds / 1000)
        buffer.append(decimal: microseconds / 1000)
        buffer.append(".")
        buffer.append(UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: microseconds / 100 % 10))
    }

    /// Lends who the request was made as; nil where nobody knows.
    static func withUser(_ record: AccessRecord, _ check: PendingCheck, _ body: (borrowing Span<UInt8>?) -> Void) {
        guard record.hasVerdict, let subject = check.verdict?.subject else { return body(nil) }
        let payload = check.payload
        body(subject.bytes(in: payload.bytes))
    }

    /// Lends the client's address; empty where that is not known.
    func withClient(_ body: (Span<UInt8>) -> Void) {
        let address = exchange.clientAddress(client)
        body(address.span)
    }
}

extension ByteBuffer {
    /// Appends bytes so that they can neither end a line nor pretend to be another part of it: control characters, blanks and
    /// the backslash as `\xNN`.
    fileprivate func append(printable bytes: Span<UInt8>) {
        let (space, delete, backslash, high) =
            (SIMD16<UInt8>(repeating: 0x20), SIMD16<UInt8>(repeating: 0x7F), SIMD16(repeating: UInt8(ascii: "\\")), SIMD16<UInt8>(repeating: 0x80))
        let isPlain = bytes.firstIndex { ($0 .<= space) .| ($0 .== delete) .| ($0 .== backslash) .| ($0 .>= high) } == nil
        guard !isPlain else { return append(bytes) }
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
}
