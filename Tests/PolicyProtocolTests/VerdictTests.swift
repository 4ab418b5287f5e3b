import Bytes
import Testing

@testable import PolicyProtocol

private let allow = field(0x81, [1]) + field(0x82, "allowed")
private let deny = field(0x81, [2]) + field(0x82, "token-missing") + field(0x86, [0x01, 0x91])

@Suite struct `A VERDICT` {
    private func code(_ payload: [UInt8]) -> ProtocolError.Code? {
        refusal { () throws(ProtocolError) in _ = try VerdictMessage.parse(payload.span) }
    }

    @Test func `needs a decision and a reason`() {
        #expect(code(allow) == nil)
        #expect(code(deny) == nil)
        #expect(code([]) == .fieldMissing)
        #expect(code(field(0x81, [1])) == .fieldMissing)
        #expect(code(field(0x82, "allowed")) == .fieldMissing)
    }

    @Test func `allows by one byte alone`() {
        for byte in UInt8.min...UInt8.max where byte != 1 && byte != 2 {
            #expect(code(field(0x81, [byte]) + field(0x82, "x")) == .fieldMalformed)
        }
        for value: [UInt8] in [[], [1, 1], [0, 1]] { #expect(code(field(0x81, value) + field(0x82, "x")) == .fieldMalformed) }
        #expect(code(allow + field(0x81, [1])) == .fieldRepeated)
    }

    @Test func `that denies has a status, and no request operation`() {
        #expect(code(field(0x81, [2]) + field(0x82, "x")) == .fieldMissing)
        #expect(code(deny + field(0x84, operation(1, "x-user-id", "u"))) == .fieldMalformed)
        #expect(code(deny + field(0x85, operation(1, "content-type", "text/plain")) + field(0x87, "no")) == nil)
        #expect(code(deny + field(0x86, [0x01, 0x91])) == .fieldRepeated)
        #expect(code(deny + field(0x87, "no") + field(0x87, "no")) == .fieldRepeated)
    }

    @Test func `that allows has neither status nor body`() {
        #expect(code(allow + field(0x86, [0x01, 0x91])) == .fieldMalformed)
        #expect(code(allow + field(0x87, "")) == .fieldMalformed)
        #expect(code(allow + field(0x84, operation(1, "x-user-id", "u")) + field(0x85, operation(2, "server"))) == nil)
    }

    @Test func `may give an allowed request another query, or none`() throws {
        for query in ["", "a=b&c", "?", "a=%23"] {
            let payload = allow + field(0x88, query)
            let read = try VerdictMessage.parse(payload.span).query
            #expect(read?.bytes(in: payload.span).text == query)
        }
        for query in ["a b", "a#b", "é", "a\r\nX: y", "\u{0}"] { #expect(code(allow + field(0x88, query)) == .fieldMalformed) }
        #expect(code(allow + field(0x88, "a") + field(0x88, "a")) == .fieldRepeated)
        #expect(code(deny + field(0x88, "a")) == .fieldMalformed)
        #expect(try VerdictMessage.parse(allow.span).query == nil)
    }

    @Test func `denies with 300 to 599 but 304`() {
        for status in [0, 100, 200, 204, 299, 304, 600, 65_535] { #expect(code(denial(status)) == .fieldMalformed) }
        for status in [300, 302, 401, 429, 503, 599] { #expect(code(denial(status)) == nil) }
    }

    private func denial(_ status: Int) -> [UInt8] {
        field(0x81, [2]) + field(0x82, "x") + field(0x86, [UInt8(status >> 8), UInt8(status & 0xFF)])
    }

    @Test(arguments: ["", "Token", "a b", "a_b", "é", String(repeating: "a", count: 65)])
    func `is refused with a malformed reason`(_ reason: String) {
        #expect(code(field(0x81, [1]) + field(0x82, reason)) == .fieldMalformed)
    }

    @Test func `may name any subject of up to 1024 bytes, once`() {
        #expect(code(allow + field(0x03, "a\nb")) == nil)
        #expect(code(allow + field(0x03, [UInt8](repeating: 0xFF, count: 1024))) == nil)
        #expect(code(allow + field(0x03, [UInt8](repeating: 0xFF, count: 1025))) == .fieldMalformed)
        #expect(code(allow + field(0x03, "a") + field(0x03, "a")) == .fieldRepeated)
    }

    private static let malformedOperations: [[UInt8]] = [
        [], [1], [0, 1, 0x61], [3, 1, 0x61], [1, 2, 0x61], [2, 1, 0x61, 0x62], operation(1, "", "v"), operation(1, "X-A", "v"),
        operation(1, "a", "b\r\nx-user-id: root"), operation(1, "a", "b\u{0}"), operation(1, "a", " b"), operation(1, "a b", "c"),
    ]

    @Test(arguments: malformedOperations)
    func `is refused with a malformed operation`(_ value: [UInt8]) {
        #expect(code(allow + field(0x84, value)) == .fieldMalformed)
        #expect(code(allow + field(0x85, value)) == .fieldMalformed)
        #expect(code(deny + field(0x85, value)) == .fieldMalformed)
    }

    @Test(arguments: [
        "connection", "content-length", "content_length", "content.length", "expect", "host", "http2-settings", "keep-alive",
        "keep_alive", "proxy-connection", "proxy-authorization", "proxy_anything", "te", "trailer", "transfer-encoding",
        "transfer_encoding", "upgrade",
    ])
    func `touches neither framing, connection nor host`(_ name: String) {
        for kind: UInt8 in [1, 2] {
            #expect(code(allow + field(0x84, operation(kind, name))) == .fieldForbidden)
            #expect(code(allow + field(0x85, operation(kind, name))) == .fieldForbidden)
            #expect(code(deny + field(0x85, operation(kind, name))) == .fieldForbidden)
        }
    }

    @Test(arguments: ["hosts", "x-host", "proxy", "content-type", "date", "authorization", "x_user.id", "ten", "expected"])
    func `may touch any other name`(_ name: String) {
        #expect(code(allow + field(0x84, operation(1, name, "v"))) == nil)
    }

    @Test func `carries 64 operations at the most, both sides together`() {
        let requests = (0..<32).flatMap { field(0x84, operation(2, "a-\($0)")) }
        let responses = (0..<32).flatMap { field(0x85, operation(2, "a-\($0)")) }
        #expect(code(allow + requests + responses) == nil)
        #expect(code(allow + requests + responses + field(0x85, operation(2, "one-more"))) == .fieldMalformed)
    }

    @Test func `gives each side its operations, in order`() throws {
        let payload = allow + field(0x84, operation(1, "a", "1")) + field(0x85, operation(2, "b")) + field(0x84, operation(2, "c"))
        let message = try VerdictMessage.parse(payload.span)
        #expect(message.decision == .allow && message.operationCount == 3)
        #expect(operations(.request, payload) == ["set a=1", "remove c="])
        #expect(operations(.response, payload) == ["remove b="])
    }

    @Test func `notes where each side's operations stand, and what their names have in common`() throws {
        let names = ["x-user-id", "x_user_id", "x-tier", "a"]
        let (request, response) = (field(0x84, operation(1, "x-user-id", "u")), field(0x85, operation(1, "x-tier", "t")))
        let payload = response + request + allow + response + field(0x84, operation(2, "x_user_id")) + request + response
        let message = try VerdictMessage.parse(payload.span)
        for (side, noted) in [(OperationSide.request, message.requestOperations), (.response, message.responseOperations)] {
            var (position, otherPosition) = (noted.start, 0)
            while let operation = VerdictMessage.nextOperation(on: side, in: payload.span, from: &otherPosition) {
                let same = noted.next(in: payload.span, from: &position)
                #expect(same == operation)
                #expect(noted.mayName(operation.name.bytes(in: payload.span).foldedNameBit))
            }
            let beyond = noted.next(in: payload.span, from: &position)
            #expect(beyond == nil)
        }
        let bits = names.map { Array($0.utf8).span.foldedNameBit }
        #expect(bits.map(message.requestOperations.mayRepeat) == [true, true, false, false])
        #expect(bits.map(message.responseOperations.mayRepeat) == [false, false, true, false])
        #expect(bits.map(message.requestOperations.mayName) == [true, true, false, false])
        #expect(try VerdictMessage.parse(allow.span).requestOperations.isEmpty)
    }

    @Test(arguments: [1, 2, 7, 8, 15, 16, 17, 33])
    func `judges an operation by its own bytes, whatever stands around them`(_ count: Int) {
        // Behind it the payload ends, or goes on with bytes that may not stand in a value.
        for rest in [[], field(0x10, "later"), field(0x10, String(repeating: "\u{1}", count: 40))] {
            for place in 0..<count {
                for byte in UInt8.min...UInt8.max {
                    var text = [UInt8](repeating: UInt8(ascii: "w"), count: count)
                    text[place] = byte
                    let value = field(0x84, [1, 1, UInt8(ascii: "w")] + text) + rest
                    #expect((code(allow + value) == nil) == FieldRules.isHeaderValue(text.span))
                    #expect((code(value + allow) == nil) == FieldRules.isHeaderValue(text.span))
                    let name = field(0x84, [1, UInt8(count)] + text + [UInt8(ascii: "v")]) + rest
                    let isName = FieldRules.isHeaderName(text.span) && FieldRules.mayBeOperatedOn(text.span)
                    #expect((code(allow + name) == nil) == isName)
                }
            }
        }
    }

    private func operations(_ side: OperationSide, _ payload: [UInt8]) -> [String] {
        var found: [String] = []
        var position = 0
        while let operation = VerdictMessage.nextOperation(on: side, in: payload.span, from: &position) {
            let (name, value) = (operation.name.bytes(in: payload.span).text, operation.value.bytes(in: payload.span).text)
            found.append("\(operation.kind) \(name)=\(value)")
        }
        return found
    }

    @Test func `is refused with an unknown critical field`() {
        #expect(code(allow + field(0x10, "later")) == nil)
        #expect(code(allow + field(0x90, "later")) == .fieldUnknown)
    }

    @Test func `is never an allow where it was cut within a field`() {
        let whole = allow + field(0x84, operation(1, "x-user-id", "u1")) + field(0x84, operation(2, "authorization"))
        var boundaries: Set<Int> = []
        var position = 0
        while let field = Field.at(position, in: whole.span) {
            boundaries.insert(position)
            position = field.end
        }
        for count in 0..<whole.count where !boundaries.contains(count) {
            #expect(code(Array(whole.prefix(count))) == .fieldMalformed)
        }
    }

    @Test func `cuts a long subject between characters`() throws {
        let buffer = ByteBuffer(capacity: 64)
        let subject = Array(("a" + String(repeating: "é", count: 600)).utf8)
        let (reason, name) = (Array("x".utf8), Array("x-number".utf8))
        var writer = VerdictWriter(allow: 1, reason: reason.span, to: buffer, maximumFrameBytes: 16_384)
        writer.subject(subject.span)
        writer.setResponseHeader(name.span, decimal: -120)
        try writer.finish()
        let payload = buffer.bytes.extracting(8..<buffer.count).array
        let message = try VerdictMessage.parse(payload.span)
        #expect(message.subject?.count == 1023)
        #expect(operations(.response, payload) == ["set x-number=-120"])
    }
}
