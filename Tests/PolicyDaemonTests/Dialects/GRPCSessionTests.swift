import Bytes
import Testing

@testable import PolicyDaemon

/// A gRPC client made of bytes.
final class GRPCConversation {
    let judge = ScriptedEnvoyJudge()
    let session: GRPCSession
    private(set) var lateCount = 0
    private var next = 1

    init(maximumInFlight: Int = 64) {
        session = GRPCSession(judge, judge, maximumInFlight: maximumInFlight, output: ByteBuffer(capacity: 1024))
        session.hasLateOutput = { [unowned self] in lateCount += 1 }
        receive(Self.preface)
        session.output.clear()
    }

    static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + frame(4, 0, 0, [])

    func receive(_ bytes: [UInt8], at nowUnixMilliseconds: Int64 = 1_700_000_000_000) {
        let input = ByteBuffer(capacity: 64)
        input.append(bytes)
        session.receive(input, nowUnixMilliseconds: nowUnixMilliseconds)
    }

    static func frame(_ type: UInt8, _ flags: UInt8, _ stream: Int, _ payload: [UInt8]) -> [UInt8] {
        [UInt8(payload.count >> 16), UInt8(payload.count >> 8 & 0xFF), UInt8(payload.count & 0xFF), type, flags, 0, 0, UInt8(stream >> 8), UInt8(stream & 0xFF)]
            + payload
    }

    static func prefixed(_ message: [UInt8]) -> [UInt8] { [0] + (0..<4).map { UInt8(message.count >> (24 - 8 * $0) & 0xFF) } + message }

    static func field(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] {
        bytes.count < 128 ? [number << 3 | 2, UInt8(bytes.count)] + bytes : [number << 3 | 2, UInt8(bytes.count & 0x7F) | 0x80, UInt8(bytes.count >> 7)] + bytes
    }

    static func check(_ path: String, _ headers: [(String, String)]) -> [UInt8] {
        var http = field(2, Array("GET".utf8)) + field(4, Array(path.utf8)) + field(5, Array("localhost".utf8))
        for header in headers { http += field(3, field(1, Array(header.0.utf8)) + field(2, Array(header.1.utf8))) }
        return field(1, field(1, field(1, field(1, field(2, Array("192.0.2.7".utf8))))) + field(4, field(2, http)))
    }

    func head(_ path: String, method: String = "POST", type: String = "application/grpc", flags: UInt8 = 4) -> [UInt8] {
        Self.head(path, method: method, type: type, flags: flags, stream: next)
    }

    static func head(
        _ path: String, method: String = "POST", type: String = "application/grpc", flags: UInt8 = 4, stream: Int
    ) -> [UInt8] {
        let fields = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "policy"), ("content-type", type), ("te", "trailers")]
        var block: [UInt8] = []
        for (name, value) in fields {
            block += [0, UInt8(name.utf8.count)] + Array(name.utf8)
            block += [UInt8(value.utf8.count)] + Array(value.utf8)
        }
        return frame(1, flags, stream, block)
    }

    /// Calls, and says what came back as text.
    func call(_ path: String = "/envoy.service.auth.v3.Authorization/Check", content: [UInt8], cut: Bool = false) -> String {
        let bytes = head(path) + Self.frame(0, 1, next, content)
        next += 2
        if cut { for byte in bytes { receive([byte]) } } else { receive(bytes) }
        return answer()
    }

    func check(_ path: String = "/api", _ headers: [(String, String)] = [("authorization", "Bearer good")]) -> String {
        call(content: Self.prefixed(Self.check(path, headers)))
    }

    /// What was sent, in order: of HEADERS, DATA and RST_STREAM the payloads as text. A status stands before an `@`, the next field's first byte; its message is
    /// compressed.
    func answer() -> String {
        let output = session.output
        var text = ""
        while output.count >= 9 {
            let count = Int(output[0]) << 16 | Int(output[1]) << 8 | Int(output[2])
            let bytes = output.bytes
            if [0, 1, 3].contains(output[3]) { text += "|\(output[3]):" + bytes.extracting(9..<9 + count).text }
            output.consume(9 + count)
        }
        return text
    }
}

@Suite struct `A gRPC session` {
    private static let health = "/grpc.health.v1.Health/Check"
    private static let limits = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"

    @Test func `judges what a Check says, in its normal form`() throws {
        let client = GRPCConversation()
        let answer = client.check("/a%70i?x=1", [(":path", "/api"), ("authorization", "Bearer good"), ("cookie", "c")])
        let judged = try #require(client.judge.judged.first)
        #expect((judged.method, judged.authority, judged.path, judged.query, judged.address) == ("GET", "localhost", "/api", "x=1", "192.0.2.7"))
        #expect(judged.headers == [["authorization", "Bearer good"]])
        #expect(answer.contains("user123") && answer.contains("x-ratelimit-remaining"))
    }

    @Test func `names every header that the policy owns, in the spellings of the request too`() {
        let answer = GRPCConversation().check("/api", [("authorization", "Bearer good"), ("x_user_id", "forged"), ("x.user.email", "forged"), ("x_other", "1")])
        for name in ["x-user-id", "x-user-roles", "x-user-email", "authorization", "x_user_id", "x.user.email"] { #expect(answer.contains(name)) }
        #expect(!answer.contains("x_other"))
    }

    @Test func `says OK as a call where it denies`() {
        let client = GRPCConversation()
        let answer = client.check("/api", [])
        #expect(answer.contains("token-missing") && answer.contains(#"Bearer realm="gatehouse""#))
        #expect(answer.contains("|1:"))
    }

    @Test func `denies a path that two could take for different ones, and asks nobody`() {
        let client = GRPCConversation()
        for path in ["/a/../b", "/a//b", "/%2e/b", "/a%2fb", "/a\\b", "", "*", "http://other/", "/a b", "/\u{0}"] {
            #expect(client.check(path).contains("Bad Request"), "\(path)")
        }
        #expect(client.judge.judged.isEmpty)
        #expect(client.judge.refusedCount == 10)
    }

    @Test func `denies what the answer has no words for`() {
        #expect(GRPCConversation().check("/api", [("authorization", "Bearer odd")]).contains("could not be judged"))
    }

    @Test func `takes a parameter out of the query`() {
        let answer = GRPCConversation().check("/api?a=1&access_token=2", [("authorization", "Bearer good")])
        #expect(answer.contains("access_token"))
    }

    @Test func `answers late ones when their verdict comes, and lets go of calls whose client has left`() {
        let client = GRPCConversation()
        #expect(client.check("/api", [("authorization", "Bearer late")]) == "")
        #expect(client.check("/api", [("authorization", "Bearer late")]) == "")
        client.receive(GRPCConversation.frame(3, 0, 1, [0, 0, 0, 8]))
        client.judge.settle()
        #expect(client.lateCount == 1)
        #expect(client.answer().components(of: "user123") == 3)   // once as a header, once as metadata
    }

    @Test func `takes a call byte by byte`() {
        let client = GRPCConversation()
        #expect(client.call(content: GRPCConversation.prefixed(GRPCConversation.check("/api", [("authorization", "Bearer good")])), cut: true).contains("user123"))
    }

    @Test func `refuses a call on top of those that may wait`() {
        let client = GRPCConversation(maximumInFlight: 2)
        for _ in 0..<2 { _ = client.check("/api", [("authorization", "Bearer late")]) }
        client.receive(GRPCConversation.frame(3, 0, 1, [0, 0, 0, 8]))   // its verdict is still under way
        #expect(client.check().contains("8@"))
    }

    @Test func `keeps so much for a client that reads no answers, and has room again once it reads`() throws {
        let client = GRPCConversation(maximumInFlight: 256)
        client.receive(GRPCConversation.frame(4, 0, 0, [0, 4, 0, 0, 0, 0]))   // no window for any stream
        _ = client.answer()
        let answers = (0..<200).map { _ in client.check("/api", [("authorization", "Bearer large")]) }
        // The status is written out once, and then known to the client's HPACK table.
        let kept = try #require(answers.firstIndex { $0.contains("8@") })
        let most = GRPCSession.maximumUnsentBytes / 30_000
        #expect((most - 10...most).contains(kept))
        client.receive(GRPCConversation.frame(8, 0, 0, [0x10, 0, 0, 0]) + GRPCConversation.frame(4, 0, 0, [0, 4, 0, 1, 0, 0]))
        #expect((kept * 30_000...GRPCSession.maximumUnsentBytes + 200 * kept).contains(client.answer().utf8.count))
        #expect(client.check().contains("user123"))
    }

    @Test func `counts by descriptors`() {
        let entry = GRPCConversation.field(1, GRPCConversation.field(1, Array("limit".utf8)) + GRPCConversation.field(2, Array("3".utf8)))
        let message = GRPCConversation.field(1, [0x64]) + GRPCConversation.field(2, entry)
        #expect(GRPCConversation().call(Self.limits, content: GRPCConversation.prefixed(message)).contains("x-ratelimit-remaining\u{12}\u{1}6"))
        #expect(GRPCConversation().call(Self.limits, content: GRPCConversation.prefixed(GRPCConversation.field(1, Array("lost".utf8)) + GRPCConversation.field(2, entry))).contains("14"))
        #expect(GRPCConversation().call(Self.limits, content: GRPCConversation.prefixed([])).contains("3@"))
    }

    @Test func `tells its health, until it leaves`() {
        let client = GRPCConversation()
        #expect(client.call(Self.health, content: GRPCConversation.prefixed([])).contains("\u{2}\u{8}\u{1}|"))
        #expect(client.call(Self.health, content: GRPCConversation.prefixed(GRPCConversation.field(1, [0x78]))).contains("5@"))
        client.session.goAway()
        #expect(client.call(Self.health, content: GRPCConversation.prefixed([])).contains("\u{2}\u{8}\u{2}|"))
    }

    @Test(arguments: [
        "no message": ([], 13), "half a prefix": ([0, 0], 13), "half a message": ([0, 0, 0, 0, 9, 1], 13),
        "two messages": ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 13), "a compressed one": ([1, 0, 0, 0, 0], 12),
        "an odd flag": ([2, 0, 0, 0, 0], 13), "a large one": ([0, 0xFF, 0, 0, 0], 8), "no Protocol Buffers": ([0, 0, 0, 0, 1, 0xFF], 13),
    ] as [String: ([UInt8], Int)])
    func `refuses a content of`(_ what: String, _ sample: ([UInt8], Int)) {
        let client = GRPCConversation()
        #expect(client.call(content: sample.0).contains("\(sample.1)@"), "\(what)")
        #expect(client.check().contains("user123"), "\(what): the next call is answered")
    }

    @Test func `refuses what is no gRPC call with an HTTP status`() {
        let client = GRPCConversation()
        client.receive(client.head("/", method: "GET", flags: 5))
        #expect(client.answer().contains("405"))
        let other = GRPCConversation()
        other.receive(other.head("/", type: "text/html", flags: 5))
        #expect(other.answer().contains("415"))
        let unknown = GRPCConversation()
        unknown.receive(unknown.head("/grpc.health.v1.Health/Watch", flags: 5))
        #expect(unknown.answer().contains("12@"))
    }

    @Test func `knows while the rest of a request is due`() {
        let client = GRPCConversation()
        client.receive(client.head(Self.health))
        #expect(client.session.awaitedSinceUnixMilliseconds != nil)
        client.receive(GRPCConversation.frame(3, 0, 1, [0, 0, 0, 8]))
        #expect(client.session.awaitedSinceUnixMilliseconds == nil)
    }

    @Test func `knows that the rest of a header section is due`() {
        let client = GRPCConversation()
        client.receive(client.head(Self.health, flags: 0))
        #expect(client.session.awaitedSinceUnixMilliseconds != nil)
    }

    @Test func `knows since when the rest of a frame is due`() {
        let client = GRPCConversation()
        client.receive([0, 0, 8, 6, 0], at: 1_700_000_001_000)
        client.receive([0, 0, 0, 0, 1], at: 1_700_000_002_000)
        #expect(client.session.awaitedSinceUnixMilliseconds == 1_700_000_001_000)
        client.receive([UInt8](repeating: 0, count: 7) + [0, 0, 8], at: 1_700_000_003_000)
        #expect(client.session.awaitedSinceUnixMilliseconds == 1_700_000_003_000)
    }

    @Test func `never traps, whatever its client sends`() {
        var generator = SystemRandomNumberGenerator()
        let message = GRPCConversation.prefixed(GRPCConversation.check("/api?x=1", [("authorization", "Bearer good"), ("x_user_id", "1")]))
        for _ in 0..<1_500 {
            let client = GRPCConversation()
            var bytes = client.head("/envoy.service.auth.v3.Authorization/Check") + GRPCConversation.frame(0, 1, 1, message)
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                bytes[Int.random(in: 9..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            client.receive(bytes)
            _ = client.answer()
        }
    }
}

extension String {
    fileprivate func components(of text: String) -> Int { split(separator: text, omittingEmptySubsequences: false).count }
}

@Suite struct `A change of the query` {
    private func change(_ old: String, _ new: String) -> String? {
        let (before, after) = (Array(old.utf8), Array(new.utf8))
        guard let change = QueryChange(from: before.span, to: after.span) else { return nil }
        let removed = change.removed.map { "-" + String(decoding: before[$0], as: UTF8.self) }
        let replaced = change.replaced.map { String(decoding: after[$0.name], as: UTF8.self) + "=" + String(decoding: after[$0.value], as: UTF8.self) }
        return (removed + replaced).joined(separator: " ")
    }

    @Test func `is told in parameters to set and to take out`() {
        #expect(change("a=1&t=2&b", "a=1&b") == "-t")
        #expect(change("t=1&t=2", "") == "-t")
        #expect(change("a=1&b=2", "a=1&b=2") == "")
        #expect(change("a=1&b=2", "a=3&b=2&c=4") == "a=3 c=4")
        #expect(change("a=1&a=2", "a=3") == "a=3")
    }

    @Test func `that can't be told is none`() {
        #expect(change("a=1&a=2&a=3", "a=1&a=2") == nil)
        #expect(change("", "a=1&a=2") == nil)
    }
}
