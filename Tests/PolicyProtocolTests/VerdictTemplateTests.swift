import Bytes
import Testing

@testable import PolicyProtocol

@Suite struct `A verdict from a template` {
    private let reason = Array("allowed".utf8)
    private let name = Array("x-user-id".utf8)
    private let value = Array("usr_1".utf8)

    @Test func `has the same bytes as one written field by field`() throws {
        let template = try VerdictTemplate(allowFor: reason.span) { $0.setRequestHeader(name.span, value.span) }
        let (templated, plain) = (ByteBuffer(capacity: 64), ByteBuffer(capacity: 64))
        var writer = VerdictWriter(template, id: 7, to: templated, maximumFrameBytes: 16_384)
        writer.setResponseHeader(name.span, decimal: 42)
        try writer.finish()
        var other = VerdictWriter(allow: 7, reason: reason.span, to: plain, maximumFrameBytes: 16_384)
        other.setRequestHeader(name.span, value.span)
        other.setResponseHeader(name.span, decimal: 42)
        try other.finish()
        #expect(templated.bytes.array == plain.bytes.array)
    }

    @Test func `is taken back where it does not fit`() throws {
        let long = [UInt8](repeating: UInt8(ascii: "x"), count: 20_000)
        let template = try VerdictTemplate(allowFor: reason.span) { $0.setRequestHeader(name.span, long.span) }
        let buffer = ByteBuffer(capacity: 64)
        buffer.append("before")
        let code = refusal { () throws(ProtocolError) in
            try VerdictWriter(template, id: 7, to: buffer, maximumFrameBytes: 16_384).finish()
        }
        #expect(code == .frameTooLarge)
        #expect(buffer.bytes.text == "before")
    }
}
