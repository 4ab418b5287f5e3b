import Bytes

/// What kind of alternative name of a certificate (RFC 5280 §4.2.1.6) a CHECK tells.
public enum CertificateNameKind: UInt8, Sendable {
    case domain = 1
    case uri = 2
    case email = 3
}

/// What a CHECK says of the certificate that the client has shown, and that whoever asks has verified: the certificate layout of
/// protocol.md, section 5.
public struct CertificateField: Sendable, Equatable {
    public struct Name: Sendable, Equatable {
        public let kind: CertificateNameKind
        public let text: FieldRange
    }

    /// The SHA-256 of the certificate: 32 bytes.
    public let fingerprint: FieldRange
    /// As RFC 4514 writes it; may be empty.
    public let subject: FieldRange
    /// Those of a kind that this version knows.
    public private(set) var names: [Name] = []

    static let fingerprintBytes = 32

    /// Reads the value of the field.
    ///
    /// - Parameter field: where in the payload it stands.
    init(_ field: FieldRange, in payload: Span<UInt8>) throws(ProtocolError) {
        let range = field.range
        guard range.count >= Self.fingerprintBytes else {
            throw ProtocolError(.fieldMalformed, "a certificate without a fingerprint of \(Self.fingerprintBytes) bytes")
        }
        fingerprint = FieldRange(offset: range.lowerBound, count: Self.fingerprintBytes)
        var position = range.lowerBound + Self.fingerprintBytes
        subject = try Self.text(at: &position, before: range.upperBound, in: payload)
        guard subject.count <= ProtocolLimits.subjectBytes, FieldRules.isPrintable(subject.bytes(in: payload)) else {
            throw ProtocolError(.fieldMalformed, "a certificate whose subject is no text of up to \(ProtocolLimits.subjectBytes) bytes")
        }
        var count = 0
        while position < range.upperBound {
            count += 1
            let kind = CertificateNameKind(rawValue: payload[position])
            position += 1
            let text = try Self.text(at: &position, before: range.upperBound, in: payload)
            guard count <= ProtocolLimits.certificateNames, (1...ProtocolLimits.certificateNameBytes).contains(text.count),
                FieldRules.isVisible(text.bytes(in: payload))
            else {
                throw ProtocolError(
                    .fieldMalformed,
                    "a certificate with more than \(ProtocolLimits.certificateNames) names, or one that is not 1 to \(ProtocolLimits.certificateNameBytes) bytes of visible ASCII")
            }
            if let kind { names.append(Name(kind: kind, text: text)) }
        }
    }

    /// A text behind its length, which `position` is moved behind.
    private static func text(at position: inout Int, before end: Int, in payload: Span<UInt8>) throws(ProtocolError) -> FieldRange {
        guard end - position >= 2, case let count = Int(payload[position]) << 8 | Int(payload[position + 1]), end - position - 2 >= count else {
            throw ProtocolError(.fieldMalformed, "a certificate with a text that ends behind its field")
        }
        defer { position += 2 + count }
        return FieldRange(offset: position + 2, count: count)
    }

    /// Writes the value of the field, for ``CheckWriter/certificate(_:)``.
    ///
    /// - Parameters:
    ///   - fingerprint: the SHA-256 of the certificate.
    ///   - names: host names in lower case.
    /// - Throws: `fieldMalformed`: a certificate that no CHECK can describe.
    public static func encode(
        fingerprint: [UInt8], subject: String, names: [(kind: CertificateNameKind, text: String)]
    ) throws(ProtocolError) -> [UInt8] {
        var bytes = fingerprint
        append(subject, to: &bytes)
        for name in names {
            bytes.append(name.kind.rawValue)
            append(name.text, to: &bytes)
        }
        guard fingerprint.count == fingerprintBytes, bytes.count <= 0xFFFF else {
            throw ProtocolError(
                .fieldMalformed, "a certificate with a fingerprint of \(fingerprint.count) bytes and \(names.count) names, which fit into no field")
        }
        _ = try CertificateField(FieldRange(offset: 0, count: bytes.count), in: bytes.span)
        return bytes
    }

    private static func append(_ text: String, to bytes: inout [UInt8]) {
        let count = UInt16(clamping: text.utf8.count)
        bytes += [UInt8(count >> 8), UInt8(count & 0xFF)]
        bytes += text.utf8
    }
}
