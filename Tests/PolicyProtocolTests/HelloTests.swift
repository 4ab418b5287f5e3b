import Bytes
import Testing

@testable import PolicyProtocol

private let magic = field(0x81, "gatehouse")
private let version = field(0x82, [0, 1])
private let size = field(0x83, [0, 1, 0, 0])
private let inFlight = field(0x87, [0, 0, 0, 1])

@Suite struct `A client's HELLO` {
    private func code(_ payload: [UInt8]) -> ProtocolError.Code? {
        refusal { () throws(ProtocolError) in _ = try ClientHello.parse(payload.span) }
    }

    @Test func `needs the magic, a version and a size`() {
        #expect(code(magic + version + size) == nil)
        #expect(code([]) == .fieldMissing)
        #expect(code(magic) == .fieldMissing)
        #expect(code(magic + version) == .fieldMissing)
        #expect(code(magic + size) == .fieldMissing)
    }

    @Test func `begins with the magic`() {
        #expect(code(version + magic + size) == .fieldMalformed)
        #expect(code(field(0x81, "gatehous") + version + size) == .fieldMalformed)
        #expect(code(magic + magic + version + size) == .fieldRepeated)
    }

    @Test func `offers 1 to 8 versions, none of them 0`() {
        for count in 1...8 { #expect(code(magic + Array(repeating: version, count: count).joined() + size) == nil) }
        #expect(code(magic + Array(repeating: version, count: 9).joined() + size) == .fieldMalformed)
        #expect(code(magic + field(0x82, [0, 0]) + size) == .fieldMalformed)
        #expect(code(magic + field(0x82, [1]) + size) == .fieldMalformed)
    }

    @Test func `offers a size within the limits, once`() {
        #expect(code(magic + version + field(0x83, [0, 0, 0x40, 0])) == nil)
        #expect(code(magic + version + field(0x83, [0, 0, 0x3F, 0xFF])) == .fieldMalformed)
        #expect(code(magic + version + field(0x83, [0, 0x10, 0, 0])) == nil)
        #expect(code(magic + version + field(0x83, [0, 0x10, 0, 1])) == .fieldMalformed)
        #expect(code(magic + version + size + size) == .fieldRepeated)
        #expect(code(magic + version + field(0x83, [1, 0, 0])) == .fieldMalformed)
    }

    @Test func `may carry fields that can be skipped, and none that can't`() {
        #expect(code(magic + version + size + field(0x55, "new") + field(0x55, "new")) == nil)
        #expect(code(magic + version + size + field(0xD5, "new")) == .fieldUnknown)
        #expect(code(magic + version + size + inFlight) == .fieldUnknown, "that is the daemon's to say")
    }

    @Test func `is refused where it ends within a field`() {
        let whole = magic + version + size
        for count in 1..<whole.count where ![magic.count, magic.count + version.count].contains(count) {
            #expect(code(Array(whole.prefix(count))) == .fieldMalformed)
        }
    }

    @Test func `cannot put lines into a log`() throws {
        let payload = magic + version + size + field(0x04, "a\nb\u{85}c\u{2028}d")
        let hello = try ClientHello.parse(payload.span)
        #expect(hello.name == "a\u{FFFD}b\u{FFFD}c\u{FFFD}d")
        #expect(code(magic + version + size + field(0x04, String(repeating: "x", count: 256))) == .fieldMalformed)
    }

    @Test func `whose name is long is cut between characters`() throws {
        let buffer = ByteBuffer(capacity: 64)
        try ClientHello(name: String(repeating: "é", count: 200)).encode(to: buffer)
        let hello = try ClientHello.parse(buffer.bytes.extracting(8..<buffer.count))
        #expect(hello.name == String(repeating: "é", count: 127))
    }

    @Test func `leads to the highest version and the smaller size`() throws {
        let hello = ClientHello(name: "", versions: [1, 3, 2], maximumFrameBytes: 32_768)
        let agreed = try hello.agree(supported: [2, 1], maximumFrameBytes: 65_536)
        #expect(agreed.version == 2 && agreed.maximumFrameBytes == 32_768)
        #expect(try hello.agree(supported: [3], maximumFrameBytes: 16_384).maximumFrameBytes == 16_384)
        #expect(refusal { () throws(ProtocolError) in _ = try hello.agree(supported: [4]) } == .versionUnsupported)
    }
}

@Suite struct `A daemon's HELLO` {
    private let offer = ClientHello(name: "", versions: [1], maximumFrameBytes: 65_536)

    private func code(_ payload: [UInt8]) -> ProtocolError.Code? {
        refusal { () throws(ProtocolError) in _ = try DaemonHello.parse(payload.span, answering: offer) }
    }

    @Test func `needs a version, a size and a maximum in flight`() {
        #expect(code(magic + version + size + inFlight) == nil)
        #expect(code(magic + version + size) == .fieldMissing)
        #expect(code(magic + version + inFlight) == .fieldMissing)
        #expect(code(magic + size + inFlight) == .fieldMissing)
        #expect(code(magic + version + size + field(0x87, [0, 0, 0, 0])) == .fieldMalformed)
        #expect(code(magic + version + size + inFlight + inFlight) == .fieldRepeated)
    }

    @Test func `chooses one version out of those offered`() {
        #expect(code(magic + version + version + size + inFlight) == .fieldRepeated)
        #expect(code(magic + field(0x82, [0, 2]) + size + inFlight) == .versionUnsupported)
    }

    @Test func `chooses no larger frames than were offered`() {
        #expect(code(magic + version + field(0x83, [0, 1, 0, 1]) + inFlight) == .fieldMalformed)
    }

    @Test func `lists names in lower case, each once, 64 of a kind at the most`() {
        let base = magic + version + size + inFlight
        #expect(code(base + field(0x85, "x-user-id") + field(0x86, "x-user-id")) == nil)
        #expect(code(base + field(0x85, "X-User-ID")) == .fieldMalformed)
        #expect(code(base + field(0x86, "")) == .fieldMalformed)
        #expect(code(base + field(0x85, "a") + field(0x85, "a")) == .fieldRepeated)
        #expect(code(base + (1...64).flatMap { field(0x86, "x-\($0)") }) == nil)
        #expect(code(base + (1...65).flatMap { field(0x86, "x-\($0)") }) == .fieldMalformed)
    }

    @Test func `that breaks a rule is not written`() {
        let buffer = ByteBuffer(capacity: 64)
        for hello in [
            DaemonHello(name: "", maximumInFlight: 0, wantedHeaders: [], ownedHeaders: []),
            DaemonHello(name: "", maximumInFlight: 1, wantedHeaders: ["A"], ownedHeaders: []),
            DaemonHello(name: "", maximumInFlight: 1, wantedHeaders: [], ownedHeaders: ["a", "a"]),
            DaemonHello(name: "", maximumFrameBytes: 1, maximumInFlight: 1, wantedHeaders: [], ownedHeaders: []),
        ] {
            #expect(refusal { () throws(ProtocolError) in try hello.encode(to: buffer) } != nil)
            #expect(buffer.isEmpty)
        }
    }
}
