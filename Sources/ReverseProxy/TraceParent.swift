import Bytes

/// The value of `traceparent` (W3C Trace Context, level 1, §3.2): which trace a request belongs to, and whose request it is.
struct TraceParent: Equatable {
    /// The trace's 16 bytes.
    let traceHigh: UInt64
    let traceLow: UInt64
    /// The request as its sender knows it.
    let parent: UInt64
    /// Whether the sender may have recorded it.
    let isSampled: Bool

    private static let byteCount = 55

    init(traceHigh: UInt64, traceLow: UInt64, parent: UInt64, isSampled: Bool) {
        (self.traceHigh, self.traceLow, self.parent, self.isSampled) = (traceHigh, traceLow, parent, isSampled)
    }

    /// Reads `version-traceid-parentid-flags`. A later version is read as far as it says the same (§3.2.4). Nil where the trace
    /// has to begin anew.
    init?(_ text: Span<UInt8>) {
        guard text.count >= Self.byteCount, let version = Self.number(text, 0..<2), version != 0xFF,
            version > 0 || text.count == Self.byteCount, text.count == Self.byteCount || Self.isDash(text, Self.byteCount),
            Self.isDash(text, 2), Self.isDash(text, 35), Self.isDash(text, 52),
            let high = Self.number(text, 3..<19), let low = Self.number(text, 19..<35), high | low != 0,
            let parent = Self.number(text, 36..<52), parent != 0, let flags = Self.number(text, 53..<55)
        else { return nil }
        self.init(traceHigh: high, traceLow: low, parent: parent, isSampled: flags & 1 == 1)
    }

    private static func isDash(_ text: Span<UInt8>, _ index: Int) -> Bool { text[index] == UInt8(ascii: "-") }

    /// Lower-case digits alone are accepted.
    private static func number(_ text: Span<UInt8>, _ range: Range<Int>) -> UInt64? {
        var number: UInt64 = 0
        for index in range {
            let byte = text[index]
            guard byte < UInt8(ascii: "A") || byte > UInt8(ascii: "F"), let digit = byte.hexadecimalValue else { return nil }
            number = number << 4 | UInt64(digit)
        }
        return number
    }

    /// Appends it as version 00, the highest that is known here.
    func append(to buffer: ByteBuffer) {
        buffer.append("00-")
        appendTrace(to: buffer)
        buffer.append("-")
        buffer.append(hexadecimal: parent)
        buffer.append(isSampled ? "-01" : "-00")
    }

    func appendTrace(to buffer: ByteBuffer) {
        buffer.append(hexadecimal: traceHigh)
        buffer.append(hexadecimal: traceLow)
    }
}

extension ByteBuffer {
    /// Appends 16 digits.
    func append(hexadecimal number: UInt64) {
        for shift in stride(from: 60, through: 0, by: -4) {
            append(hexadecimalDigit: UInt8(truncatingIfNeeded: number >> UInt64(shift)) & 0xF)
        }
    }
}
