import Bytes
import HTTPMessage
import Testing

/// Well-formed messages, changed at random: nothing may trap or hang, and what is accepted must hold what any reader may rely on.
/// The generator's seed is fixed, so a failure returns.
struct MutationTests {
    private static let requests = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /api/projects/%70/100%25?x=1&y=%2f HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\nConnection: keep-alive, x\r\nX: y\r\n\r\nhello",
        "PUT http://a/b?c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n5;x=y\r\nhello\r\n0\r\nA: b\r\n\r\n",
        "OPTIONS * HTTP/1.0\r\nHost: [::1]:3000\r\nConnection: close\r\n\r\n",
    ]
    private static let responses = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}",
        "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\nConnection: close\r\nSet-Cookie: a=b\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "HTTP/1.0 302\r\nLocation: /x\r\n\r\n",
    ]
    private static let rounds = 10_000

    @Test func `no mutation of a request breaks the parser`() {
        var random = SplitMix64(state: 0x6761_7465)
        for round in 0..<Self.rounds {
            let message = Self.mutation(of: Self.requests[round % Self.requests.count], &random)
            let whole = readRequest(message)
            let cut = Int.random(in: 0...message.count, using: &random)
            expectSame(readRequest(message, cuts: [cut]), whole, message)
            if case .accepted(let read) = whole { expectSound(read) }
            if let refusal = whole.refusal { #expect([400, 405, 414, 431, 505].contains(refusal)) }
        }
    }

    @Test func `no mutation of a response breaks the parser`() {
        var random = SplitMix64(state: 0x686F_7573)
        for round in 0..<Self.rounds {
            let message = Self.mutation(of: Self.responses[round % Self.responses.count], &random)
            let whole = readResponse(message)
            let cut = Int.random(in: 0...message.count, using: &random)
            expectSame(readResponse(message, cuts: [cut]), whole, message)
            if case .accepted(let read) = whole { expectSound(read.fields) }
        }
    }

    @Test func `no mutation of a chunked body breaks the decoder`() {
        var random = SplitMix64(state: 0x6368_756E)
        for _ in 0..<Self.rounds {
            let message = Self.mutation(of: "5;x=y\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nA: b\r\n\r\n", &random)
            let buffer = ByteBuffer(capacity: 16)
            buffer.append(message)
            var decoder = ChunkedDecoder(limits: HeadLimits())
            // Every step takes bytes off the buffer, or is the last.
            for _ in 0...message.count {
                guard case .data(let count)? = try? decoder.next(in: buffer) else { break }
                #expect(count > 0 && count <= buffer.count)
                buffer.consume(count)
                decoder.took(count)
            }
        }
    }

    /// Two mistakes with two statuses may be met in either order; a message is accepted, refused or incomplete all the same.
    private func expectSame<Value>(_ split: Outcome<Value>, _ whole: Outcome<Value>, _ message: [UInt8]) {
        if split.refusal == nil || whole.refusal == nil { #expect(split == whole, "\(message)") }
    }

    private func expectSound(_ read: ReadRequest) {
        expectSound(read.fields)
        #expect(read.target.hasPrefix("/") || read.target == "*" && read.method == "OPTIONS")
        #expect(read.target.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F })
        let segments = read.path.split(separator: "/", omittingEmptySubsequences: false)
        #expect(!segments.dropFirst().dropLast().contains(""))
        #expect(!segments.contains(".") && !segments.contains(".."))
        #expect(!read.path.contains("\\"))
        #expect(read.fields.count { $0.name.lowercased() == "host" } <= 1)
        #expect(read.method != "CONNECT")
    }

    private func expectSound(_ fields: [Field]) {
        for field in fields {
            #expect(!field.name.isEmpty && field.name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x3A })
            #expect(field.value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 })
        }
        let framing = fields.filter { ["content-length", "transfer-encoding"].contains($0.name.lowercased()) }
        #expect(framing.count <= 1)
    }

    /// One to four changes: a byte replaced, inserted or removed, or a stretch doubled.
    private static func mutation(of text: String, _ random: inout SplitMix64) -> [UInt8] {
        let interesting = Array("\r\n\0 \t:;,/.%25eEfF0+-x\u{7F}".utf8) + [0x80, 0xFF]
        var message = Array(text.utf8)
        for _ in 0..<Int.random(in: 1...4, using: &random) where !message.isEmpty {
            let place = message.indices.randomElement(using: &random)!
            let byte = Bool.random(using: &random) ? interesting.randomElement(using: &random)! : UInt8.random(in: 0...255, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0: message[place] = byte
            case 1: message.insert(byte, at: place)
            case 2: message.remove(at: place)
            default: message.insert(contentsOf: message[place...].prefix(8), at: place)
            }
        }
        return message
    }
}

/// A small generator whose sequence is fixed by its state (Steele, Lea and Flood, 2014).
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
