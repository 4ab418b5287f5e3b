/// The methods the proxy treats specially; everything else is ``other`` and is forwarded like any.
public enum Method: Sendable, Equatable {
    case get, head, put, delete, options, trace, connect
    case other

    /// Whether a request may be sent again when nobody knows whether it was carried out (RFC 9110 §9.2.2).
    public var isIdempotent: Bool { self != .other && self != .connect }

    /// The method of this name, which is told from others by its case too.
    public static func of(_ name: Span<UInt8>) -> Method {
        switch name.count {
        case 3: name.equals("GET") ? .get : name.equals("PUT") ? .put : .other
        case 4: name.equals("HEAD") ? .head : .other
        case 5: name.equals("TRACE") ? .trace : .other
        case 6: name.equals("DELETE") ? .delete : .other
        case 7: name.equals("OPTIONS") ? .options : name.equals("CONNECT") ? .connect : .other
        default: .other
        }
    }
}

/// A request's head (RFC 9112 §2 – §6), read and judged. All ranges lie in the bytes that were parsed.
public struct RequestHead: Sendable {
    public private(set) var methodName = ByteRange.empty
    public private(set) var method = Method.other
    /// The target as it was received; ``RequestTarget`` judges it.
    public private(set) var target = ByteRange.empty
    /// 1 for HTTP/1.1, 0 for HTTP/1.0.
    public private(set) var minorVersion = 1
    public private(set) var fields: [FieldLine] = []
    /// The value of `Host`; empty where an HTTP/1.0 client sent none.
    public private(set) var host = ByteRange.empty
    public private(set) var framing = BodyFraming.none
    public private(set) var connection = ConnectionOptions()
    public private(set) var expectsContinue = false
    /// How many bytes the head takes, its empty line included.
    public private(set) var byteCount = 0
    /// Up to where a head that is still being written has been read.
    private var readEnd = 0

    public init() {}

    /// Whether the client wants the connection kept (RFC 9112 §9.3).
    public var keepsAlive: Bool {
        !connection.saysClose && (minorVersion > 0 || connection.saysKeepAlive)
    }

    public var hasBody: Bool { framing != .none && framing != .length(0) }

    /// Reads a head whose end a ``HeadScanner`` has found. What this value held before is replaced; its storage is used again.
    ///
    /// - Parameters:
    ///   - bytes: the message from its first byte; more may follow the head.
    ///   - byteCount: the head's length.
    /// - Throws: 400 for anything that two parsers could read differently, 414, or 505 for another version. The connection cannot
    ///   go on.
    public mutating func parse(_ bytes: Span<UInt8>, byteCount: Int, limits: HeadLimits) throws(MessageRefusal) {
        forget()
        self.byteCount = byteCount
        let fieldsStart = try parseRequestLine(bytes)
        try HeadSize().judge(fieldsStart &- 2, limits)
        try FieldLines.read(fieldsStart..<byteCount, of: bytes, into: &fields)
        try judgeFields(bytes)
    }

    // MARK: A head that is written

    // What another version of HTTP brought is written as the text that is forwarded, and read in the same go: line by line, so that each is
    // the one that was meant, whatever bytes it is made of.

    /// Begins with a request line.
    ///
    /// - Parameter bytes: the line, its CRLF included.
    /// - Throws: 400 or 505, as ``parse(_:byteCount:limits:)`` does.
    public mutating func begin(with bytes: Span<UInt8>) throws(MessageRefusal) {
        forget()
        byteCount = bytes.count
        readEnd = try parseRequestLine(bytes)
        guard readEnd == bytes.count else { throw MessageRefusal("There is a CR or LF in the request line.") }
    }

    /// Reads the field line that has been written behind the others.
    ///
    /// - Parameters:
    ///   - bytes: all that has been written, the line's CRLF at its end.
    ///   - nameByteCount: the length of its name.
    /// - Throws: 400 where it is no field line, or more than one, or reads as another field.
    public mutating func readLine(of bytes: Span<UInt8>, nameByteCount: Int) throws(MessageRefusal) {
        let field = try FieldLines.line(at: readEnd, in: bytes)
        guard field.name.count == nameByteCount else { throw MessageRefusal("There is a character in a header name that no name may have.") }
        guard field.line.end == bytes.count else { throw MessageRefusal("There is a control character in a header value.") }
        fields.append(field)
        readEnd = bytes.count
    }

    /// Reads what has been written behind those lines, the empty line at its end, and judges the head.
    ///
    /// - Parameter bytes: all that has been written.
    /// - Throws: what a ``HeadScanner`` would have refused, and ``parse(_:byteCount:limits:)``.
    public mutating func end(with bytes: Span<UInt8>, limits: HeadLimits) throws(MessageRefusal) {
        byteCount = bytes.count
        try FieldLines.read(readEnd..<byteCount, of: bytes, into: &fields)
        var size = HeadSize()
        try size.endLine(at: (fields.first?.line.start ?? byteCount &- 2) &- 1, limits)
        for field in fields { try size.endLine(at: field.line.end &- 1, limits) }
        try size.endLine(at: byteCount &- 1, limits)
        try judgeFields(bytes)
    }

    private mutating func forget() {
        fields.removeAll(keepingCapacity: true)
        connection = ConnectionOptions()
        expectsContinue = false
        host = .empty
    }

    /// `method SP request-target SP HTTP-version CRLF` (RFC 9112 §3), with one space each.
    private mutating func parseRequestLine(_ bytes: Span<UInt8>) throws(MessageRefusal) -> Int {
        var end = 0
        while Characters.isToken(bytes[end]) { end &+= 1 }
        guard end > 0, bytes[end] == 0x20 else { throw MessageRefusal("The request does not begin with a method and a space.") }
        methodName = ByteRange(0..<end)
        method = Method.of(bytes.extracting(0..<end))
        let targetStart = end &+ 1
        end = targetStart
        while bytes[end] > 0x20, bytes[end] != 0x7F { end &+= 1 }
        guard end > targetStart, bytes[end] == 0x20 else {
            throw MessageRefusal("The request target is not followed by a space and the version, or has a character none may have.")
        }
        target = ByteRange(targetStart..<end)
        minorVersion = try version(at: end &+ 1, in: bytes)
        let lineEnd = end &+ 9
        guard bytes[lineEnd] == 0x0D, bytes[lineEnd &+ 1] == 0x0A else {
            throw MessageRefusal("The request line does not end behind the version.")
        }
        return lineEnd &+ 2
    }

    private func version(at start: Int, in bytes: Span<UInt8>) throws(MessageRefusal) -> Int {
        let malformed = MessageRefusal("The request line does not end with HTTP/1.1 or HTTP/1.0.")
        guard start &+ 8 <= byteCount, bytes.extracting(start..<start &+ 5).equals("HTTP/"),
            Characters.isDigit(bytes[start &+ 5]), bytes[start &+ 6] == UInt8(ascii: "."), Characters.isDigit(bytes[start &+ 7])
        else { throw malformed }
        let (major, minor) = (bytes[start &+ 5] &- UInt8(ascii: "0"), bytes[start &+ 7] &- UInt8(ascii: "0"))
        // A higher minor version is read as the highest known one (RFC 9110 §6.2); no such version exists, so it is refused.
        guard major == 1, minor <= 1 else {
            throw MessageRefusal(505, "The version is HTTP/\(major).\(minor); HTTP/1.1 and HTTP/1.0 are accepted.")
        }
        return Int(minor)
    }

    private mutating func judgeFields(_ bytes: Span<UInt8>) throws(MessageRefusal) {
        var framingFields = FramingFields()
        var hostCount = 0
        for field in fields {
            switch field.kind {
            case .contentLength, .transferEncoding: try framingFields.note(field, in: bytes)
            case .connection: try connection.note(field.value.bytes(in: bytes))
            case .host:
                hostCount &+= 1
                host = field.value
            case .expect:
                guard minorVersion > 0, field.value.bytes(in: bytes).equalsIgnoringCase("100-continue") else { continue }
                expectsContinue = true
            default: continue
            }
        }
        framing = try framingFields.framing(minorVersion: minorVersion, unframed: .none)
        guard hostCount <= 1 else { throw MessageRefusal("There is more than one Host.") }
        guard hostCount == 1 || minorVersion == 0 else { throw MessageRefusal("There is no Host.") }
        guard hostCount == 0 || Authority.isValid(host.bytes(in: bytes)) else {
            throw MessageRefusal("The Host is no host name or address with or without a port.")
        }
    }
}
