import Bytes
import Testing

@testable import PolicyProtocol

@Suite struct `A CHECK` {
    private static let fields: [UInt8: [UInt8]] = [
        0x81: field(0x81, "GET"), 0x82: field(0x82, "https"), 0x83: field(0x83, "example.org"), 0x84: field(0x84, "/a?b"),
        0x85: field(0x85, "2001:db8::7"),
    ]

    /// A CHECK with the field of `tag` replaced by `bytes`.
    private func payload(_ tag: UInt8 = 0, _ bytes: [UInt8] = []) -> [UInt8] {
        Self.fields.sorted { $0.key < $1.key }.flatMap { $0.key == tag ? bytes : $0.value } + (tag == 0 ? bytes : [])
    }

    private func code(_ payload: [UInt8]) -> ProtocolError.Code? {
        refusal { () throws(ProtocolError) in _ = try CheckMessage.parse(payload.span) }
    }

    @Test func `says what it was given`() throws {
        let bytes = payload(0, field(0x06, [0xC8, 0x22]) + field(0x87, header("authorization", "Bearer x")))
        let check = try CheckMessage.parse(bytes.span)
        #expect(check.method.bytes(in: bytes.span).text == "GET")
        #expect(check.scheme == .https)
        #expect(check.authority.bytes(in: bytes.span).text == "example.org")
        #expect(check.target.bytes(in: bytes.span).text == "/a?b")
        #expect(check.peerAddress.bytes(in: bytes.span).text == "2001:db8::7")
        #expect(check.peerPort == 51_234)
        #expect(check.headerCount == 1)
    }

    @Test func `keeps repeated headers apart and in order`() throws {
        let bytes = payload(0, field(0x87, header("a", "1")) + field(0x60, "?") + field(0x87, header("b", "")) + field(0x87, header("a", "2")))
        var found: [String] = []
        let check = try CheckMessage.parse(bytes.span) { header in
            found.append(header.name.bytes(in: bytes.span).text + "=" + header.value.bytes(in: bytes.span).text)
        }
        #expect(check.headerCount == 3)
        #expect(found == ["a=1", "b=", "a=2"])
    }

    @Test(arguments: UInt8(0x81)...0x85)
    func `needs each of its five fields, once`(_ tag: UInt8) {
        #expect(code(payload(tag, [])) == .fieldMissing)
        #expect(code(payload(0, Self.fields[tag]!)) == .fieldRepeated)
    }

    @Test func `may leave the port out, and not give it twice`() {
        #expect(code(payload()) == nil)
        #expect(code(payload(0, field(0x06, [0, 1]) + field(0x06, [0, 1]))) == .fieldRepeated)
        #expect(code(payload(0, field(0x06, [1]))) == .fieldMalformed)
    }

    private static let malformedValues: [(UInt8, [String])] = [
        (0x81, ["", "GE T", "GET\n", "G\u{e9}T", String(repeating: "M", count: 65)]),
        (0x82, ["", "HTTP", "ftp", "httpss"]),
        (0x83, ["a b", "a\u{0}", "\u{e9}", String(repeating: "a", count: 1025)]),
        (0x84, ["", "a", "**", "http://a/", "/a b", "/\u{e9}", "/\u{7f}"]),
        (0x85, ["localhost", "::1%eth0", "[::1]", String(repeating: "1", count: 46)]),
    ]

    @Test(arguments: malformedValues)
    func `is refused with a malformed value`(_ tag: UInt8, _ values: [String]) {
        for value in values { #expect(code(payload(tag, field(tag, value))) == .fieldMalformed, "\(tag): \(value)") }
    }

    private static let wellFormedValues: [(UInt8, [String])] = [
        (0x81, ["M-SEARCH", "get", String(repeating: "M", count: 64)]),
        (0x82, ["http", "https"]),
        (0x83, ["", "[::1]:3000", String(repeating: "a", count: 1024)]),
        (0x84, ["/", "*", "/a%2Fb?c=%00", "/" + String(repeating: "a", count: 60_000)]),
        (0x85, ["", "192.0.2.7", "::ffff:192.0.2.7"]),
    ]

    @Test(arguments: wellFormedValues)
    func `is accepted with any well-formed value`(_ tag: UInt8, _ values: [String]) {
        for value in values { #expect(code(payload(tag, field(tag, value))) == nil, "\(tag): \(value)") }
    }

    @Test func `is refused with a malformed header`() {
        let malformed: [[UInt8]] = [
            [], [2, 0x61], header("", "v"), header("A", "v"), header("a", "b\r\nc"), header("a", " b"), header("a", "b\t"),
        ]
        for value in malformed {
            #expect(code(payload(0, field(0x87, value))) == .fieldMalformed)
        }
    }

    @Test func `carries 128 headers at the most`() {
        let headers = (0..<129).map { field(0x87, header("h", "\($0)")) }
        #expect(code(payload(0, Array(headers.dropLast().joined()))) == nil)
        #expect(code(payload(0, Array(headers.joined()))) == .fieldMalformed)
    }

    @Test func `tells of a certificate, and passes over kinds of names that it does not know`() throws {
        let value = certificate("CN=worker", [(1, "worker.example"), (9, "later"), (2, "spiffe://example/worker"), (3, "w@example")])
        let bytes = payload(0, field(0x08, value))
        let told = try #require(try CheckMessage.parse(bytes.span).certificate)
        #expect(told.fingerprint.bytes(in: bytes.span).array == Array(0..<32))
        #expect(told.subject.bytes(in: bytes.span).text == "CN=worker")
        #expect(told.names.map { "\($0.kind) \($0.text.bytes(in: bytes.span).text)" }
            == ["domain worker.example", "uri spiffe://example/worker", "email w@example"])
        #expect(try CheckMessage.parse(payload().span).certificate == nil)
        #expect(code(payload(0, field(0x08, value) + field(0x08, value))) == .fieldRepeated)
    }

    @Test func `is refused with a malformed certificate`() throws {
        let whole = certificate("CN=worker", [(2, "urn:a")])
        for count in 0..<whole.count where count != 43 { #expect(code(payload(0, field(0x08, Array(whole.prefix(count))))) == .fieldMalformed, "\(count)") }
        let malformed = [
            certificate("a\nb", []), certificate(String(repeating: "a", count: 1025), []), certificate("", [(2, "")]), certificate("", [(2, "a b")]),
            certificate("", [(9, "\u{e9}")]), certificate("", [(2, String(repeating: "a", count: 1025))]),
            certificate("", Array(repeating: (2, "urn:a"), count: 33)),
        ]
        for value in malformed { #expect(code(payload(0, field(0x08, value))) == .fieldMalformed) }
        let most = certificate(String(repeating: "a", count: 1024), Array(repeating: (2, String(repeating: "a", count: 1024)), count: 32))
        #expect(code(payload(0, field(0x08, most))) == nil)
    }

    @Test func `is not written with a certificate that it cannot tell`() {
        func refused(_ fingerprint: Int = 32, _ subject: String = "", _ names: [(kind: CertificateNameKind, text: String)] = []) -> Bool {
            refusal { () throws(ProtocolError) in
                _ = try CertificateField.encode(fingerprint: Array(repeating: 0, count: fingerprint), subject: subject, names: names)
            } == .fieldMalformed
        }
        #expect(!refused())
        #expect(refused(20))
        #expect(refused(32, String(repeating: "a", count: 70_000)))
        #expect(refused(32, "", Array(repeating: (.uri, String(repeating: "a", count: 9_000)), count: 10)))
        #expect(refused(32, "", [(.domain, "a\u{0}b")]))
    }

    /// The value of a certificate field.
    private func certificate(_ subject: String, _ names: [(kind: UInt8, text: String)]) -> [UInt8] {
        func text(_ text: String) -> [UInt8] { [UInt8(text.utf8.count >> 8), UInt8(text.utf8.count & 0xFF)] + Array(text.utf8) }
        return Array(0..<32) + text(subject) + names.flatMap { [$0.kind] + text($0.text) }
    }

    @Test func `is refused with an unknown critical field`() {
        #expect(code(payload(0, field(0x40, ""))) == nil)
        #expect(code(payload(0, field(0xC0, ""))) == .fieldUnknown)
    }

    @Test func `is never read whole where it was cut`() {
        let whole = payload(0, field(0x87, header("a", "1")))
        for count in 0..<whole.count - 8 { #expect(code(Array(whole.prefix(count))) != nil) }
        for count in whole.count - 5..<whole.count { #expect(code(Array(whole.prefix(count))) == .fieldMalformed) }
    }

    @Test func `that does not fit into a frame is not written`() {
        let buffer = ByteBuffer(capacity: 64)
        let value = [UInt8](repeating: 0x61, count: 9_000)
        let code = refusal { () throws(ProtocolError) in
            let get = Array("GET".utf8), slash = Array("/".utf8), name = Array("cookie".utf8), none: [UInt8] = []
            var writer = CheckWriter(
                id: 1, method: get.span, scheme: .http, authority: none.span, target: slash.span, peerAddress: none.span,
                peerPort: nil, to: buffer, maximumFrameBytes: 16_384)
            writer.header(name: name.span, value: value.span)
            writer.header(name: name.span, value: value.span)
            writer.header(name: name.span, value: none.span)
            try writer.finish()
        }
        #expect(code == .frameTooLarge)
        #expect(buffer.isEmpty)
    }
}
