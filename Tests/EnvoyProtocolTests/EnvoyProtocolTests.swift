import Bytes
import EnvoyProtocol
import Testing

/// As Google's own runtime writes them.
private enum Sample {
    static let merged = bytes("0a510a0f0a0d0a0b12093139322e302e322e37223e123c12034745541a190a0d617574686f72697a6174696f6e120842656172657220781a0d0a0661636365707412032a2f2a22062f613f623d312a03683a31")
    static let raw = bytes("0a7b0a0f0a0d0a0b12093139322e302e322e372268126612034745541a190a0d617574686f72697a6174696f6e120842656172657220781a0d0a0661636365707412032a2f2a22062f613f623d312a03683a316a280a120a0d617574686f72697a6174696f6e1a01ff0a120a0d617574686f72697a6174696f6e1a0179")
    static let rateLimit = bytes("0a016412100a060a016b1201760a060a016c12017712070a030a016d1a001803")

    static func bytes(_ hexadecimal: String) -> [UInt8] {
        let digits = Array(hexadecimal.utf8).map { UInt8($0 < 58 ? $0 - 48 : $0 - 87) }
        return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }
}

@Suite struct `A CheckRequest` {
    private func read(_ bytes: [UInt8]) throws(MalformedMessage) -> CheckRequest {
        var request = CheckRequest()
        try request.read(bytes.span, 0..<bytes.count)
        return request
    }

    private func text(_ range: Range<Int>, _ bytes: [UInt8]) -> String { String(decoding: bytes[range], as: UTF8.self) }

    @Test func `is read with its headers merged`() throws {
        let bytes = Sample.merged
        let request = try read(bytes)
        #expect(text(request.method, bytes) == "GET")
        #expect(text(request.path, bytes) == "/a?b=1")
        #expect(text(request.host, bytes) == "h:1")
        #expect(text(request.sourceAddress, bytes) == "192.0.2.7")
        #expect(request.headers.map { [text($0.name, bytes), text($0.value, bytes)] } == [["authorization", "Bearer x"], ["accept", "*/*"]])
    }

    @Test func `is read from its raw headers alone where it has some`() throws {
        let bytes = Sample.raw
        let request = try read(bytes)
        #expect(request.headers.map { Array(bytes[$0.value]) } == [[0xFF], [0x79]])
        #expect(request.headers.allSatisfy { text($0.name, bytes) == "authorization" })
    }

    @Test func `in two halves is read as one`() throws {
        let bytes = Sample.merged + Sample.merged
        #expect(try read(bytes).headers.count == 4)
        #expect(try text(read(bytes).path, bytes) == "/a?b=1")
    }

    @Test(arguments: [
        "ends within a field": [0x0A, 5, 1], "a length of 2^63": [0x0A] + [UInt8](repeating: 0xFF, count: 8) + [0x7F], "field number 0": [0x02, 0],
        "a group": [0x0B], "wire type 7": [0x0F], "a number without an end": [0x08] + [UInt8](repeating: 0xFF, count: 12),
        "attributes as a number": [0x08, 1], "a number of 65 bits": [0x10] + [UInt8](repeating: 0xFF, count: 9) + [2], "a fixed field cut off": [0x11, 0, 0],
    ] as [String: [UInt8]])
    func `that is malformed is refused`(_ what: String, _ bytes: [UInt8]) {
        #expect(throws: MalformedMessage.self, "\(what)") { try read(bytes) }
    }

    @Test func `with unknown fields is read all the same`() throws {
        let bytes: [UInt8] = [0x18, 5, 0x22, 1, 0, 0x29, 0, 0, 0, 0, 0, 0, 0, 0, 0x35, 0, 0, 0, 0] + Sample.merged
        #expect(try text(read(bytes).method, bytes) == "GET")
    }

    @Test func `never traps, whatever its bytes`() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            var bytes = Bool.random(using: &generator) ? Sample.raw : Sample.rateLimit
            for _ in 0..<Int.random(in: 1...5, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            bytes.removeLast(Int.random(in: 0...5, using: &generator))
            let request = try? read(bytes)
            for header in request?.headers ?? [] { #expect(header.name.upperBound <= bytes.count && header.value.upperBound <= bytes.count) }
            _ = try? RateLimitRequest(bytes.span, 0..<bytes.count)
            _ = try? HealthCheck.service(bytes.span, 0..<bytes.count)
        }
    }
}

@Suite struct `A RateLimitRequest` {
    @Test func `counts by its own addend, but where a descriptor has one`() throws {
        let bytes = Sample.rateLimit
        let request = try RateLimitRequest(bytes.span, 0..<bytes.count)
        #expect(Array(bytes[request.domain]) == [0x64])
        #expect(request.descriptors.map(\.hits) == [3, 0])
        #expect(request.descriptors.map { $0.entries.map { Array(bytes[$0.key] + bytes[$0.value]) } } == [[[0x6B, 0x76], [0x6C, 0x77]], [[0x6D]]])
    }

    @Test func `without an addend counts one`() throws {
        let bytes: [UInt8] = [0x0A, 1, 0x64, 0x12, 0]
        #expect(try RateLimitRequest(bytes.span, 0..<bytes.count).descriptors.map(\.hits) == [1])
    }

    @Test func `of too many descriptors is refused`() {
        let bytes = [UInt8]([[UInt8]](repeating: [0x12, 0], count: 33).joined())
        #expect(throws: MalformedMessage.self) { try RateLimitRequest(bytes.span, 0..<bytes.count) }
    }
}

@Suite struct `A message in a message` {
    @Test(arguments: [0, 1, 127 - 4, 128 - 4, 16_383 - 4, 16_384 - 6, 40_000]) func `has its length before it`(_ count: Int) throws {
        let output = ByteBuffer(capacity: 16)
        var writer = CheckResponseWriter(.ok, to: output)
        let name = [UInt8](repeating: 0x61, count: count)
        writer.allowed { $0.removeHeader(name.span) }
        var bytes = output.bytes.array
        #expect(bytes.prefix(4) == [0x0A, 2, 8, 0])
        // Read back as if it were attributes, which has a message in the same place.
        bytes.removeFirst(4)
        bytes[0] = 0x0A
        var request = CheckRequest()
        #expect(throws: Never.self) { try request.read(bytes.span, 0..<bytes.count) }
    }
    @Test func `of a header to set is the same, however short it is`() {
        func field(_ number: UInt8, _ value: [UInt8]) -> [UInt8] {
            let length = value.count < 128 ? [UInt8(value.count)] : [UInt8(value.count & 0x7F) | 0x80, UInt8(value.count >> 7)]
            return [number << 3 | 2] + length + value
        }
        let name = Array("x-ratelimit-remaining".utf8)
        for count in 0...200 {
            let value = [UInt8](repeating: 0x39, count: count)
            let output = ByteBuffer(capacity: 16)
            CheckResponseWriter.Fields(to: output).setResponseHeader(name.span, byteCount: count) { $0.append(value) }
            // By the numbers of `HeaderValueOption`: the header, what becomes of one that is there, and that an empty one is kept.
            let rest: [UInt8] = [3 << 3, 2] + (count == 0 ? [4 << 3, 1] : [])
            #expect(output.bytes.array == field(6, field(1, field(1, name) + field(2, value)) + rest))
        }
    }
}
