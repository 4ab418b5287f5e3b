import Bytes
import Testing

@testable import PolicyProtocol

@Suite struct `PING, GOAWAY and ERROR` {
    @Test func `PING carries nothing, and may be given something to skip`() {
        let cases: [([UInt8], ProtocolError.Code?)] = [
            ([], nil), (field(0x01, "x"), nil), (field(0x81, "x"), .fieldUnknown), ([0x01], .fieldMalformed),
        ]
        for (payload, code) in cases {
            #expect(refusal { () throws(ProtocolError) in try Ping.parse(payload.span) } == code)
        }
    }

    @Test func `GOAWAY may say why, once`() throws {
        let (none, once): ([UInt8], [UInt8]) = ([], field(0x01, "stop"))
        #expect(try GoAway.parse(none.span).message == "")
        #expect(try GoAway.parse(once.span).message == "stop")
        let twice = once + once
        #expect(refusal { () throws(ProtocolError) in _ = try GoAway.parse(twice.span) } == .fieldRepeated)
        let long = field(0x01, String(repeating: "x", count: 1025))
        #expect(refusal { () throws(ProtocolError) in _ = try GoAway.parse(long.span) } == .fieldMalformed)
    }

    @Test func `ERROR needs a code`() throws {
        let (none, whole): ([UInt8], [UInt8]) = ([], field(0x81, "some-later-code") + field(0x02, "a\u{1b}[31mb"))
        let report = try ErrorReport.parse(whole.span, id: 4)
        #expect(report == ErrorReport(code: "some-later-code", message: "a\u{FFFD}[31mb", id: 4))
        #expect(refusal { () throws(ProtocolError) in _ = try ErrorReport.parse(none.span, id: 0) } == .fieldMissing)
        let shouting = field(0x81, "NO")
        #expect(refusal { () throws(ProtocolError) in _ = try ErrorReport.parse(shouting.span, id: 0) } == .fieldMalformed)
    }

    @Test(arguments: ProtocolError.Code.allCases)
    func `every code may be sent`(_ code: ProtocolError.Code) throws {
        let buffer = ByteBuffer(capacity: 64)
        let error = ProtocolError(code, String(repeating: "long ", count: 400))
        try ErrorReport(error, id: 3).encode(to: buffer)
        let report = try ErrorReport.parse(buffer.bytes.extracting(8..<buffer.count), id: 3)
        #expect(report.code == code.rawValue)
        #expect(report.message.utf8.count == 1024)
    }
}
