import Bytes
import Testing

@testable import PolicyProtocol

@Suite struct `protocol.md` {
    @Test func `has an example for every message`() {
        let shown = Set(ProtocolDocument.frames.compactMap { FrameType(rawValue: $0.bytes[0]) })
        #expect(shown == Set(FrameType.allCases))
        let labels = Set(ProtocolDocument.frames.map(\.label))
        #expect(labels.isSuperset(of: ["HELLO client", "HELLO daemon", "VERDICT allow", "VERDICT deny"]))
    }

    @Test(arguments: ProtocolDocument.frames)
    func `states every offset rightly`(_ example: DocumentedFrame) {
        for offset in example.offsets { #expect(offset.stated == offset.real) }
    }

    @Test(arguments: ProtocolDocument.frames)
    func `shows frames that decode, and encode again to the same bytes`(_ example: DocumentedFrame) throws {
        let limit = ProtocolLimits.defaultFrameBytes
        guard case .frame(let header) = try FrameHeader.parse(example.bytes.span, maximumFrameBytes: limit) else {
            Issue.record("the example is no whole frame")
            return
        }
        #expect(header.frameByteCount == example.bytes.count)
        let buffer = ByteBuffer(capacity: 64)
        try encodeAgain(example, header, to: buffer)
        #expect(buffer.bytes.array == example.bytes)
    }

    @Test func `names every type with its number`() {
        for type in FrameType.allCases {
            let name = "\(type)".uppercased()
            #expect(ProtocolDocument.text.contains("| \(hexadecimal(type.rawValue)) | \(name) |"))
        }
    }

    @Test func `explains every error code`() {
        for code in ProtocolError.Code.allCases { #expect(ProtocolDocument.text.contains("\n| `\(code.rawValue)` |")) }
    }

    @Test(arguments: [
        ("frame of a HELLO", ProtocolLimits.helloBytes),
        ("wanted header names in a HELLO", ProtocolLimits.headerNamesPerHello),
        ("owned header names in a HELLO", ProtocolLimits.headerNamesPerHello),
        ("name in a HELLO", ProtocolLimits.peerNameBytes),
        ("headers in a CHECK", ProtocolLimits.headersPerCheck),
        ("method", ProtocolLimits.methodBytes),
        ("authority", ProtocolLimits.authorityBytes),
        ("peer address", ProtocolLimits.peerAddressBytes),
        ("names of a certificate", ProtocolLimits.certificateNames),
        ("name of a certificate, not empty", ProtocolLimits.certificateNameBytes),
        ("operations in a VERDICT, both sides together", ProtocolLimits.operationsPerVerdict),
        ("header name", ProtocolLimits.headerNameBytes),
        ("reason, error code", ProtocolLimits.reasonBytes),
        ("subject", ProtocolLimits.subjectBytes),
        ("message of a GOAWAY or an ERROR", ProtocolLimits.errorMessageBytes),
    ])
    func `states the limits that the code has`(_ what: String, _ limit: Int) {
        #expect(ProtocolDocument.text.contains("| \(what) | \(grouped(limit)) |"))
    }

    @Test func `states the ranges that the code has`() {
        let (low, high) = (ProtocolLimits.frameBytes.lowerBound, ProtocolLimits.frameBytes.upperBound)
        let usual = ProtocolLimits.defaultFrameBytes
        #expect(ProtocolDocument.text.contains("\(grouped(low)) to \(grouped(high)); \(grouped(usual)) is usual"))
        #expect(ProtocolDocument.text.contains("| versions in a HELLO | 1 to \(ProtocolLimits.versionsPerHello) |"))
        let wait = grouped(ProtocolLimits.helloTimeoutMilliseconds)
        #expect(ProtocolDocument.text.contains("| wait for the other side's HELLO | \(wait) ms |"))
    }
}

private func grouped(_ number: Int) -> String {
    number < 1000 ? "\(number)" : grouped(number / 1000) + "," + String("\(1000 + number % 1000)".dropFirst())
}

private func encodeAgain(_ example: DocumentedFrame, _ header: FrameHeader, to buffer: ByteBuffer) throws {
    let payload = example.payload
    switch header.type {
    case .hello where example.label == "HELLO client": try ClientHello.parse(payload.span).encode(to: buffer)
    case .hello:
        let offer = try ClientHello.parse(ProtocolDocument.frame("HELLO client").payload.span)
        try DaemonHello.parse(payload.span, answering: offer).encode(to: buffer)
    case .check: try encode(CheckMessage.parse(payload.span), payload.span, id: header.id, to: buffer)
    case .verdict: try encode(VerdictMessage.parse(payload.span), payload.span, id: header.id, to: buffer)
    case .ping:
        try Ping.parse(payload.span)
        Ping.encode(id: header.id, to: buffer)
    case .pong:
        try Ping.parse(payload.span)
        Ping.encodeAnswer(id: header.id, to: buffer)
    case .goAway: try GoAway.parse(payload.span).encode(to: buffer)
    case .error: try ErrorReport.parse(payload.span, id: header.id).encode(to: buffer)
    case nil: Issue.record("an example of an unknown type")
    }
}
