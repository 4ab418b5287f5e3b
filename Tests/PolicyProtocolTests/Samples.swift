import Bytes

@testable import PolicyProtocol

/// The bytes of one field.
func field(_ tag: UInt8, _ value: [UInt8]) -> [UInt8] {
    [tag, UInt8(value.count >> 8), UInt8(value.count & 0xFF)] + value
}

func field(_ tag: UInt8, _ value: String) -> [UInt8] { field(tag, Array(value.utf8)) }

/// The value of a header field.
func header(_ name: String, _ value: String) -> [UInt8] { [UInt8(name.utf8.count)] + Array(name.utf8) + Array(value.utf8) }

/// The value of an operation.
func operation(_ kind: UInt8, _ name: String, _ value: String = "") -> [UInt8] { [kind] + header(name, value) }

/// The code with which `body` refuses its input; nil where it does not.
func refusal(_ body: () throws(ProtocolError) -> Void) -> ProtocolError.Code? {
    do throws(ProtocolError) {
        try body()
        return nil
    } catch {
        return error.code
    }
}

/// Writes a CHECK that was read.
func encode(_ check: CheckMessage, _ payload: Span<UInt8>, id: UInt32, to buffer: ByteBuffer) throws(ProtocolError) {
    var writer = CheckWriter(
        id: id, method: check.method.bytes(in: payload), scheme: check.scheme, authority: check.authority.bytes(in: payload),
        target: check.target.bytes(in: payload), peerAddress: check.peerAddress.bytes(in: payload),
        peerPort: check.peerPort, to: buffer, maximumFrameBytes: ProtocolLimits.defaultFrameBytes)
    if let certificate = check.certificate {
        var names: [(kind: CertificateNameKind, text: String)] = []
        for name in certificate.names { names.append((name.kind, name.text.bytes(in: payload).text)) }
        let field = try CertificateField.encode(
            fingerprint: certificate.fingerprint.bytes(in: payload).array, subject: certificate.subject.bytes(in: payload).text,
            names: names)
        writer.certificate(field.span)
    }
    var headers: [HeaderField] = []
    _ = try CheckMessage.parse(payload) { headers.append($0) }
    for header in headers {
        writer.header(name: header.name.bytes(in: payload), value: header.value.bytes(in: payload))
    }
    try writer.finish()
}

/// Writes a VERDICT that was read.
func encode(_ verdict: VerdictMessage, _ payload: Span<UInt8>, id: UInt32, to buffer: ByteBuffer) throws(ProtocolError) {
    let limit = ProtocolLimits.defaultFrameBytes
    let reason = verdict.reason.bytes(in: payload)
    var writer =
        if let status = verdict.status {
            VerdictWriter(deny: id, status: status, reason: reason, to: buffer, maximumFrameBytes: limit)
        } else {
            VerdictWriter(allow: id, reason: reason, to: buffer, maximumFrameBytes: limit)
        }
    if let subject = verdict.subject { writer.subject(subject.bytes(in: payload)) }
    var position = 0
    while let operation = VerdictMessage.nextOperation(on: .request, in: payload, from: &position) {
        let (name, value) = (operation.name.bytes(in: payload), operation.value.bytes(in: payload))
        if operation.kind == .set { writer.setRequestHeader(name, value) } else { writer.removeRequestHeader(name) }
    }
    position = 0
    while let operation = VerdictMessage.nextOperation(on: .response, in: payload, from: &position) {
        let (name, value) = (operation.name.bytes(in: payload), operation.value.bytes(in: payload))
        if operation.kind == .set { writer.setResponseHeader(name, value) } else { writer.removeResponseHeader(name) }
    }
    if let query = verdict.query { writer.query(query.bytes(in: payload)) }
    if !verdict.body.isEmpty { writer.body(verdict.body.bytes(in: payload)) }
    try writer.finish()
}
