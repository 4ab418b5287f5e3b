/// A response's head (RFC 9112 §4 – §6), read as strictly as a request's. All ranges lie in the bytes that were parsed.
public struct ResponseHead: Sendable {
    public private(set) var status: UInt16 = 0
    /// The reason phrase; may be empty.
    public private(set) var reason = ByteRange.empty
    public private(set) var minorVersion = 1
    public private(set) var fields: [FieldLine] = []
    public private(set) var framing = BodyFraming.none
    public private(set) var connection = ConnectionOptions()
    /// How many bytes the head takes, its empty line included.
    public private(set) var byteCount = 0

    public init() {}

    /// Room for so many fields is made at first.
    private static let usualFieldCount = 16

    /// Whether it is an interim response: another one follows (RFC 9110 §15.2).
    public var isInterim: Bool { status < 200 }

    /// Whether the connection can serve another exchange after this one.
    public var keepsAlive: Bool {
        framing != .untilClose && !connection.saysClose && (minorVersion > 0 || connection.saysKeepAlive)
    }

    /// Reads a head whose end a ``HeadScanner`` has found. What this value held before is replaced; its storage is used again.
    ///
    /// - Parameter method: of the request it answers; an answer to HEAD has no body.
    /// - Throws: a refusal whose status is of no use: the client gets a 502, and the connection cannot go on.
    public mutating func parse(_ bytes: Span<UInt8>, byteCount: Int, answering method: Method) throws(MessageRefusal) {
        fields.removeAll(keepingCapacity: true)
        if fields.capacity == 0 { fields.reserveCapacity(Self.usualFieldCount) }
        connection = ConnectionOptions()
        self.byteCount = byteCount
        let fieldsStart = try parseStatusLine(bytes)
        try FieldLines.read(fieldsStart..<byteCount, of: bytes, into: &fields)
        try judgeFields(bytes, method)
    }

    /// `HTTP-version SP status-code SP [ reason-phrase ] CRLF` (RFC 9112 §4).
    private mutating func parseStatusLine(_ bytes: Span<UInt8>) throws(MessageRefusal) -> Int {
        let malformed = MessageRefusal("The answer does not begin with a status line of HTTP/1.1 or HTTP/1.0.")
        guard byteCount >= 15, bytes.extracting(0..<7).equals("HTTP/1.") else { throw malformed }
        guard bytes[7] == UInt8(ascii: "1") || bytes[7] == UInt8(ascii: "0"), bytes[8] == 0x20 else { throw malformed }
        minorVersion = Int(bytes[7] &- UInt8(ascii: "0"))
        status = 0
        for index in 9..<12 {
            guard Characters.isDigit(bytes[index]) else { throw malformed }
            status = status &* 10 &+ UInt16(bytes[index] &- UInt8(ascii: "0"))
        }
        guard status >= 100, status <= 599 else { throw malformed }
        // Without the space before an empty reason the line is malformed, but common, and clear (RFC 9112 §4).
        let reasonStart = bytes[12] == 0x20 ? 13 : 12
        guard reasonStart == 13 || bytes[12] == 0x0D else { throw malformed }
        var end = bytes.firstControl(from: reasonStart)
        while bytes[end] == 0x09 { end = bytes.firstControl(from: end &+ 1) }
        guard bytes[end] == 0x0D, bytes[end &+ 1] == 0x0A else { throw malformed }
        reason = ByteRange(reasonStart..<end)
        return end &+ 2
    }

    private mutating func judgeFields(_ bytes: Span<UInt8>, _ method: Method) throws(MessageRefusal) {
        var framingFields = FramingFields()
        for field in fields {
            switch field.kind {
            case .contentLength, .transferEncoding: try framingFields.note(field, in: bytes)
            case .connection: try connection.note(field.value.bytes(in: bytes))
            default: continue
            }
        }
        let said = try framingFields.framing(minorVersion: minorVersion, unframed: .untilClose)
        framing = method == .head || isInterim || status == 204 || status == 304 ? .none : said
    }
}
