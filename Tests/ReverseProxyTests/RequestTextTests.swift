import Bytes
import HTTPMessage
import Testing

@testable import HTTP2
@testable import ReverseProxy

/// What of a head is compared, beside its text.
private struct ReadHead: Equatable {
    let text: String
    let lines: [FieldLine]
    let places: [ByteRange]
    let method: HTTPMessage.Method
    let framing: BodyFraming
    let connection: ConnectionOptions
    let expectsContinue: Bool
    let byteCount: Int

    init(_ head: RequestHead, _ text: ByteBuffer) {
        self.text = text.bytes.text
        lines = head.fields
        places = [head.methodName, head.target, head.host]
        method = head.method
        framing = head.framing
        connection = head.connection
        expectsContinue = head.expectsContinue
        byteCount = head.byteCount
    }
}

private typealias Outcome = Result<ReadHead, MessageRefusal>
private typealias Fields = [(name: String, value: String)]

/// Numbers that look random, and are the same in each run.
private struct Numbers {
    private var state: UInt64 = 0x1234_5678

    mutating func below(_ bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(state >> 33) % bound
    }

    mutating func pick<Element>(_ choices: [Element]) -> Element { choices[below(choices.count)] }
}

@Suite struct `A request of HTTP 2 as text` {
    private let limits: HeadLimits = {
        var limits = HeadLimits()
        (limits.requestLineBytes, limits.headerBytes, limits.headerCount) = (60, 200, 6)
        return limits
    }()
    private let sound: Fields = [(":method", "GET"), (":scheme", "https"), (":path", "/a"), (":authority", "here")]

    private func section(_ fields: Fields) -> FieldSection {
        let section = FieldSection()
        for field in fields { section.append(Array(field.name.utf8).span, Array(field.value.utf8).span, maximumBytes: 1 << 20) }
        return section
    }

    /// Writes and reads it in one go.
    private func written(_ fields: Fields, isEnd: Bool = true) -> Outcome {
        let text = ByteBuffer(capacity: 64)
        var (request, head) = (RequestText(section(fields)), RequestHead())
        do throws(MessageRefusal) {
            _ = try request.write(isEnd: isEnd, limits: limits, random: RandomNumbers(), to: text, reading: &head)
            return .success(ReadHead(head, text))
        } catch { return .failure(error) }
    }

    /// Reads what a client of HTTP/1.1 would have sent in its place.
    private func sent(_ fields: Fields, isEnd: Bool = true) -> Outcome {
        let named = { (name: String) in fields.filter { $0.name == name }.map(\.value) }
        var lines = ["\(named(":method")[0]) \(named(":path")[0]) HTTP/1.1"]
        if let authority = (named(":authority") + named("host")).first { lines.append("host: \(authority)") }
        for field in fields where !field.name.hasPrefix(":") && field.name != "host" && field.name != "cookie" {
            lines.append("\(field.name): \(field.value)")
        }
        if !named("cookie").isEmpty { lines.append("cookie: " + named("cookie").joined(separator: "; ")) }
        if !isEnd, named("content-length").isEmpty { lines.append("transfer-encoding: chunked") }
        return sent(lines.joined(separator: "\r\n") + "\r\n\r\n")
    }

    private func sent(_ message: String) -> Outcome {
        let text = ByteBuffer(capacity: 64)
        text.append(utf8: message)
        var (scanner, head) = (HeadScanner(), RequestHead())
        do throws(MessageRefusal) {
            guard let byteCount = try scanner.findEnd(in: text.bytes, limits: limits) else { return .failure(MessageRefusal("It has no end.")) }
            try head.parse(text.bytes, byteCount: byteCount, limits: limits)
            return .success(ReadHead(head, text))
        } catch { return .failure(error) }
    }

    @Test func `is read as HTTP 1,1 reads it, or refused as there`() throws {
        var (numbers, acceptedCount, refusals) = (Numbers(), 0, Set<String>())
        for _ in 0..<5_000 {
            var fields: Fields = [(":method", numbers.pick(["GET", "HEAD", "POST", "OPTIONS", "PURGE", "get"])), (":scheme", "https")]
            fields.append((":path", numbers.pick(["/", "/a?b=c", "*", "http://here/x", "//", "/" + String(repeating: "x", count: 45 + numbers.below(12))])))
            if numbers.below(8) > 0 {
                fields.append((":authority", numbers.pick(["here", "here:80", "[::1]:8", "", "me@here", "here:99999", "he re", "caf\u{E9}"])))
            }
            for _ in 0..<numbers.below(numbers.pick([2, 4, 9])) { fields.append(oddField(&numbers)) }
            let isEnd = numbers.below(2) == 0
            let (ours, theirs) = (written(fields, isEnd: isEnd), sent(fields, isEnd: isEnd))
            #expect(ours == theirs, "\(fields)")
            switch ours {
            case .success: acceptedCount += 1
            case .failure(let refusal): refusals.insert(refusal.description)
            }
        }
        // So that the test is one of both.
        #expect(acceptedCount > 500 && refusals.count >= 7, "\(acceptedCount) accepted, \(refusals)")
    }

    private func oddField(_ numbers: inout Numbers) -> (name: String, value: String) {
        switch numbers.below(12) {
        case 0: ("content-length", numbers.pick(["0", "5", "05", "-1", "5, 5", "", "0x5", "999999999999999999", "1000000000000000000"]))
        case 1: ("expect", numbers.pick(["100-continue", "100-Continue", "x"]))
        case 2: ("cookie", numbers.pick(["a=b", "", "c"]))
        case 3: (numbers.pick(["te", "via", "forwarded", "x-forwarded-for", "content_length", "upgrade", "keep-alive"]), "x")
        case 4: ("a", String(repeating: "v", count: numbers.below(120)))
        case 5: ("user-agent", numbers.pick(["", " padded\t", "\t", "caf\u{E9}", "a: b"]))
        default: ("n\(numbers.below(9))", "v")
        }
    }

    @Test func `becomes its request line, the host, its fields, one cookie, and a coding where no length is told`() throws {
        let fields = sound + [("cookie", "a=b"), ("host", "HERE"), ("accept", "*/*"), ("cookie", "c=d")]
        let end = try written(fields).get(), open = try written(fields, isEnd: false).get()
        #expect(end.text == "GET /a HTTP/1.1\r\nhost: here\r\naccept: */*\r\ncookie: a=b; c=d\r\n\r\n" && end.framing == .none)
        #expect(open.text == end.text.dropLast() + "transfer-encoding: chunked\r\n\r\n" && open.framing == .chunked)
        let announced = try written(sound + [("content-length", "3")], isEnd: false).get()
        #expect(announced.framing == .length(3) && !announced.text.contains("transfer-encoding"))
    }

    @Test func `asks for a WebSocket as HTTP 1,1 does`() throws {
        let fields: Fields = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":path", "/w"), (":authority", "here")]
        let asked = try written(fields + [("sec-websocket-version", "13"), ("sec-websocket-key", "theirs")], isEnd: false).get()
        #expect(asked.text.hasPrefix("GET /w HTTP/1.1\r\nhost: here\r\nsec-websocket-version: 13\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nsec-websocket-key: "))
        #expect(asked.text.hasSuffix("A==\r\n\r\n") && !asked.text.contains("theirs"))
        #expect(asked == (try sent(asked.text).get()))
    }

    @Test(arguments: [
        (400, 0, ":method", nil), (400, 0, ":method", ""), (400, 0, ":method", "G T"), (400, 0, ":method", "GET / HTTP/1.1\r\nx: y\r\n\r\nGET"),
        (400, 2, ":path", nil), (400, 2, ":path", ""), (400, 2, ":path", "/ HTTP/1.0\r\nx: y"), (400, 2, ":path", "/\u{7F}"), (400, 2, ":path", "/a b"),
        (400, 1, ":scheme", "ftp"), (501, 1, ":protocol", "other"), (400, 3, ":authority", nil), (400, 3, ":authority", "here\r\nx: y"),
        (400, 4, "host", "there"), (400, 4, "connection", "close"), (400, 4, "transfer-encoding", "chunked"), (400, 4, "x", "y\r\nz: a"),
        (400, 4, "x", "y\r"), (400, 4, "x", "y\n"), (400, 4, "x", "\u{0}"), (400, 4, "x", "y\r\n"), (400, 4, "x", "\r\n\r\n"), (400, 4, "cookie", "y\r\nz: a"),
        (400, 4, "", "y"), (400, 4, "x:", "y"), (400, 4, "x: y\r\nz", "a"), (400, 4, "x y", "z"), (400, 4, " x", "y"), (400, 4, "\r\n", "y"), (400, 4, "x\r\n", "y"),
        (400, 4, "content-length", "x"), (414, 2, ":path", "/" + String(repeating: "x", count: 60)), (431, 4, "x", String(repeating: "y", count: 200)),
    ] as [(UInt16, Int, String, String?)])
    func `is refused where it would be read as something else`(_ status: UInt16, _ index: Int, _ name: String, _ value: String?) {
        var fields = sound
        if fields.indices.contains(index), fields[index].name == name { fields.remove(at: index) }
        if let value { fields.insert((name, value), at: index) }
        guard case .failure(let refusal) = written(fields) else {
            Issue.record("\(name): \(value ?? "none") is accepted")
            return
        }
        #expect(refusal.status == status)
    }

    @Test func `is refused for what is malformed before it is for its size`() {
        let long = sound + [("x", String(repeating: "y", count: 300))]
        #expect(written(long + [("host", "there")]) == .failure(MessageRefusal("The Host field names another host than the :authority.")))
        #expect(written(long + [("content-length", "x")]) == .failure(MessageRefusal(431, "The header fields are longer than 200 bytes.")))
    }
}
