import Bytes

/// How the client reached the proxy.
public enum RequestScheme: Sendable, Equatable {
    case http
    case https
}

/// Tags of the fields of a CHECK.
enum CheckTag {
    static let method: UInt8 = 0x81
    static let scheme: UInt8 = 0x82
    static let authority: UInt8 = 0x83
    static let target: UInt8 = 0x84
    static let peerAddress: UInt8 = 0x85
    static let peerPort: UInt8 = 0x06
    static let header: UInt8 = 0x87
    static let certificate: UInt8 = 0x08
}

/// Writes one CHECK frame at the end of a buffer: the request, then its headers, then ``finish()``.
///
/// Until it is finished, nothing else may be appended to the buffer or consumed from it.
public struct CheckWriter: ~Copyable {
    private var frame: FrameWriter

    /// - Parameters:
    ///   - id: one that this connection has not used, from ``CheckIDs/next()``.
    ///   - method: a token (RFC 9110 §9.1), case as received.
    ///   - authority: host and perhaps port; empty where an HTTP/1.0 client named none.
    ///   - target: path and query in their normal form, or `*`.
    ///   - peerAddress: the client's IP address as text; empty where it came by a Unix socket.
    ///   - maximumFrameBytes: the frame size agreed in the HELLOs.
    public init(
        id: UInt32, method: Span<UInt8>, scheme: RequestScheme, authority: Span<UInt8>, target: Span<UInt8>,
        peerAddress: Span<UInt8>, peerPort: UInt16?, to buffer: ByteBuffer, maximumFrameBytes: Int
    ) {
        frame = FrameWriter(.check, id: id, to: buffer, maximumFrameBytes: maximumFrameBytes)
        frame.field(CheckTag.method, method)
        frame.field(CheckTag.scheme, scheme == .https ? "https" : "http")
        frame.field(CheckTag.authority, authority)
        frame.field(CheckTag.target, target)
        frame.field(CheckTag.peerAddress, peerAddress)
        if let peerPort { frame.field(CheckTag.peerPort, bigEndian: peerPort) }
    }

    /// Adds one header that the daemon's HELLO asked for. A header that came more than once is added as often.
    ///
    /// - Parameter name: in lower case.
    public mutating func header(name: Span<UInt8>, value: Span<UInt8>) {
        if frame.beginHeader(CheckTag.header, name: name, valueCount: value.count) { frame.buffer.append(value) }
    }

    /// Says which certificate the client has shown. At most once, and only of one that was verified.
    ///
    /// - Parameter encoded: by ``CertificateField/encode(fingerprint:subject:names:)``.
    public mutating func certificate(_ encoded: Span<UInt8>) { frame.field(CheckTag.certificate, encoded) }

    /// Completes the frame.
    ///
    /// - Throws: `frameTooLarge`, with the buffer as it was before the frame was begun. The request must be denied.
    public consuming func finish() throws(ProtocolError) { try frame.finish() }
}

/// A CHECK's payload, read and judged: every range lies in the payload and holds what its name says.
public struct CheckMessage: Sendable, Equatable {
    public private(set) var method = FieldRange.empty
    public private(set) var scheme = RequestScheme.http
    public private(set) var authority = FieldRange.empty
    /// Path and query, beginning with a slash, or `*`.
    public private(set) var target = FieldRange.empty
    /// Empty where the client came by a Unix socket.
    public private(set) var peerAddress = FieldRange.empty
    public private(set) var peerPort: UInt16?
    public private(set) var headerCount = 0
    /// The client's, verified; nil where it has shown none.
    public private(set) var certificate: CertificateField?

    /// Reads a CHECK.
    ///
    /// - Parameters:
    ///   - payload: the payload of a frame whose type is ``FrameType/check``.
    ///   - note: told each header in its order, before all of the message has been judged.
    /// - Throws: any `field…` error. The daemon answers it with a denial whose reason is `check-malformed`; the
    ///   connection can go on.
    public static func parse(
        _ payload: Span<UInt8>, headers note: (HeaderField) -> Void = { _ in }
    ) throws(ProtocolError) -> CheckMessage {
        var message = CheckMessage()
        var seen = SeenFields()
        var position = 0
        while position < payload.count {
            guard let field = Field.at(position, in: payload) else { throw truncatedField(at: position, in: "CHECK") }
            position = field.end
            if field.tag == CheckTag.header {
                note(try message.readHeader(field, in: payload))
            } else {
                try message.read(field, in: payload, &seen)
            }
        }
        try seen.require(CheckTag.method, "method")
        try seen.require(CheckTag.scheme, "scheme")
        try seen.require(CheckTag.authority, "authority")
        try seen.require(CheckTag.target, "target")
        try seen.require(CheckTag.peerAddress, "peer address")
        return message
    }

    private mutating func readHeader(_ field: Field, in payload: Span<UInt8>) throws(ProtocolError) -> HeaderField {
        headerCount += 1
        guard headerCount <= ProtocolLimits.headersPerCheck else {
            throw ProtocolError(
                .fieldMalformed, "more than \(ProtocolLimits.headersPerCheck) headers in a CHECK")
        }
        guard let header = field.header(in: payload) else {
            throw ProtocolError(.fieldMalformed, "a header whose name is longer than its field")
        }
        try judge(header, in: payload)
        return header
    }

    private mutating func read(
        _ field: Field, in payload: Span<UInt8>, _ seen: inout SeenFields
    ) throws(ProtocolError) {
        let value = field.value(in: payload)
        switch field.tag {
        case CheckTag.method:
            try seen.note(field.tag, "method")
            guard FieldRules.isToken(value), value.count <= ProtocolLimits.methodBytes else {
                throw ProtocolError(.fieldMalformed, "a method that is no token of 1 to 64 bytes")
            }
            method = field.range
        case CheckTag.scheme:
            try seen.note(field.tag, "scheme")
            guard value.equals("http") || value.equals("https") else {
                throw ProtocolError(.fieldMalformed, "a scheme that is neither http nor https")
            }
            scheme = value.count == 5 ? .https : .http
        case CheckTag.authority:
            try seen.note(field.tag, "authority")
            guard FieldRules.isVisible(value), value.count <= ProtocolLimits.authorityBytes else {
                throw ProtocolError(.fieldMalformed, "an authority that is not up to 1024 bytes of visible ASCII")
            }
            authority = field.range
        case CheckTag.target:
            try seen.note(field.tag, "target")
            guard value.count > 0, value[0] == UInt8(ascii: "/") || value.equals("*"), FieldRules.isVisible(value) else {
                throw ProtocolError(.fieldMalformed, "a target that is neither * nor visible ASCII after a slash")
            }
            target = field.range
        case CheckTag.peerAddress:
            try seen.note(field.tag, "peer address")
            guard FieldRules.isAddress(value) else {
                throw ProtocolError(.fieldMalformed, "a peer address that is neither empty nor an IP address")
            }
            peerAddress = field.range
        case CheckTag.peerPort:
            try seen.note(field.tag, "peer port")
            peerPort = try field.uint16(in: payload, "peer port")
        case CheckTag.certificate:
            try seen.note(field.tag, "certificate")
            certificate = try CertificateField(field.range, in: payload)
        default:
            try skipUnknown(field.tag, in: "CHECK")
        }
    }
}

/// Throws unless both parts of `header` are well-formed.
func judge(_ header: HeaderField, in payload: Span<UInt8>) throws(ProtocolError) {
    let name = header.name.bytes(in: payload)
    guard FieldRules.isHeaderName(name) else {
        throw ProtocolError(.fieldMalformed, "a header name that is no lower-case token of 1 to 255 bytes")
    }
    guard FieldRules.isHeaderValue(header.value.bytes(in: payload)) else {
        throw ProtocolError(.fieldMalformed, "a control byte in the value of \(name.text), or a blank at an end of it")
    }
}
