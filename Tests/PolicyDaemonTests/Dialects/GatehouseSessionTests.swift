import Bytes
import Counters
import Policy
import PolicyProtocol
import Testing

@testable import PolicyDaemon

@Suite struct `A CHECK is answered` {
    @Test func `with an allow, the identity, and the limits`() throws {
        let conversation = try Conversation(limit: 100)
        let expected = try conversation.verdict(1, bearer("usr_9f3k2m"))
        #expect(expected.isAllowed)
        #expect(expected.reason == "allowed")
        #expect(expected.subject == "usr_9f3k2m")
        #expect(
            expected.request == [
                "x-user-id: usr_9f3k2m", "x-user-email: dev@example.com", "x-user-role: user", "-authorization",
            ])
        #expect(
            expected.response == [
                "x-ratelimit-limit: 100", "x-ratelimit-remaining: 99", "x-ratelimit-reset: 1732017600",
            ])
    }

    @Test func `for a known token as for a new one, until it expires`() throws {
        let conversation = try Conversation(limit: 100)
        let text = try bearer("a", expiresAt: now / 1000 + 10)
        let first = try conversation.verdict(1, text)
        let second = try conversation.verdict(2, text)
        #expect(second.request == first.request)
        #expect(second.response[1] == "x-ratelimit-remaining: 98")
        #expect(try conversation.verdict(3, text, at: now + 9_999).isAllowed)
        #expect(try conversation.verdict(4, text, at: now + 10_000).reason == "token-expired")
    }

    @Test func `with 401 and a challenge where the token is missing, wrong or expired, and nothing is counted`() throws {
        let conversation = try Conversation(limit: 3)
        for (id, field, reason) in [
            (1, "", "token-missing"), (2, "Basic abc", "token-missing"), (3, "Bearer", "token-missing"),
            (4, "Bearer abc", "token-malformed"), (5, try bearer("a") + "x", "token-signature-invalid"),
            (6, try bearer("a", expiresAt: now / 1000), "token-expired"),
            (7, try bearer("a\n"), "token-claims-unfit"),
        ] as [(UInt32, String, String)] {
            let verdict = try conversation.verdict(id, field)
            #expect(!verdict.isAllowed)
            #expect(verdict.reason == reason)
            #expect(verdict.status == 401)
            #expect(verdict.response.count == 2)
            #expect(verdict.response.first == "content-type: application/json")
            #expect(verdict.response.last?.hasPrefix("www-authenticate: Bearer realm=") == true)
            #expect(verdict.body.hasPrefix(#"{"error":"Unauthorized","message":""#))
        }
        #expect(conversation.counter.counts.isEmpty)
    }

    @Test func `with 400 where two Authorization fields came, even of one value`() throws {
        let conversation = try Conversation(limit: 3)
        let text = try bearer("a")
        let verdict = try conversation.verdict(1, text, text)
        #expect(verdict.status == 400)
        #expect(verdict.reason == "authorization-repeated")
        #expect(verdict.body.hasPrefix(#"{"error":"Bad Request","message":""#))
        #expect(conversation.counter.counts.isEmpty)
    }

    @Test func `with 429 above the limit, which is charged to nobody`() throws {
        let conversation = try Conversation(limit: 2, windowSeconds: 10)
        let text = try bearer("a")
        #expect(try conversation.verdict(1, text).isAllowed)
        #expect(try conversation.verdict(2, text).isAllowed)
        for id in 3...5 as ClosedRange<UInt32> {
            let verdict = try conversation.verdict(id, text)
            #expect(verdict.status == 429)
            #expect(verdict.reason == "limit-exceeded")
            #expect(verdict.subject == "a")
            #expect(verdict.request.isEmpty)
            #expect(
                verdict.response == [
                    "content-type: application/json", "retry-after: 15", "x-ratelimit-limit: 2", "x-ratelimit-remaining: 0",
                    "x-ratelimit-reset: 1732017580",
                ])
            #expect(
                verdict.body
                    == #"{"error":"Too Many Requests","message":"Rate limit exceeded. You are allowed 2 requests per 10 seconds.","resetAt":"2024-11-19T11:59:40.000Z"}"#)
        }
        #expect(conversation.counter.counts == ["ratelimit:a:": 2])
        #expect(try conversation.verdict(6, try bearer("b")).isAllowed)
    }

    @Test func `with words for a lost store`() throws {
        let conversation = try Conversation(limit: 3)
        let text = try bearer("a")
        conversation.counter.isFallback = true
        let local = try conversation.verdict(1, text)
        #expect(local.reason == "allowed-counted-locally")
        #expect(local.request.count == 4)
        #expect(local.response.count == 3)
        conversation.counter.failure = .deny
        let denied = try conversation.verdict(2, text)
        #expect(denied.status == 503)
        #expect(denied.reason == "store-unavailable")
        #expect(denied.response == ["content-type: application/json", "retry-after: 1"])
        conversation.counter.failure = .allow
        let allowed = try conversation.verdict(3, text)
        #expect(allowed.isAllowed)
        #expect(allowed.reason == "allowed-uncounted")
        #expect(allowed.request.count == 4)
        #expect(allowed.response.isEmpty)
    }

    @Test func `with a denial where it is malformed, and the connection goes on`() throws {
        let conversation = try Conversation(limit: 3)
        let frame: [UInt8] = [0xC2, 0, 0, 4, 0, 0, 0, 1, 0x81, 0, 1, UInt8(ascii: " ")]
        conversation.input.append(frame)
        try conversation.check(2, bearer("a"))
        let answers = try conversation.answers()
        #expect(answers.count == 2)
        guard case .verdict(1, let denied) = answers[0], case .verdict(2, let allowed) = answers[1] else {
            return #expect(Bool(false))
        }
        #expect(denied.reason == "check-malformed")
        #expect(denied.status == 400)
        #expect(allowed.isAllowed)
    }

    @Test func `with the longest user id there is`() throws {
        let conversation = try Conversation(limit: 3)
        let id = String(repeating: "u", count: 40_000)
        let verdict = try conversation.verdict(1, bearer(id))
        #expect(verdict.request.first == "x-user-id: \(id)")
        #expect(verdict.subject?.utf8.count == 1024)
    }

    @Test func `in the same way wherever the bytes are split`() throws {
        let whole = ByteBuffer(capacity: 4096)
        try ClientHello(name: "test").encode(to: whole)
        try appendCheck(1, [bearer("a")], to: whole)
        Ping.encode(id: 9, to: whole)
        try appendCheck(2, [], to: whole)
        let bytes = whole.bytes.array
        let expected = try Conversation(limit: 3, isGreeted: false)
        expected.input.append(bytes)
        let frames = try expected.answers()
        #expect(frames.count == 4)
        for split in 1..<bytes.count {
            let conversation = try Conversation(limit: 3, isGreeted: false)
            conversation.input.append(Array(bytes[..<split]))
            var answers = try conversation.answers()
            conversation.input.append(Array(bytes[split...]))
            answers += try conversation.answers()
            #expect(answers == frames, "split at \(split)")
        }
    }
}

@Suite struct `A count that takes time` {
    @Test func `is answered when it comes, in any order, and each once`() throws {
        let conversation = try Conversation(limit: 3)
        conversation.counter.answersAtOnce = false
        var lateAnswers = 0
        conversation.session.hasLateOutput = { lateAnswers += 1 }
        for id in 1...3 as ClosedRange<UInt32> { try conversation.check(id, bearer("user\(id)")) }
        try conversation.check(4)
        #expect(try conversation.answers().count == 1, "the one without a token waits for nobody")
        let hits = conversation.counter.waiting
        for index in [2, 0, 0] { conversation.counter.answer(index) }
        let answers = try conversation.answers()
        let subjects = answers.map { if case .verdict(let id, let verdict) = $0 { "\(id) \(verdict.subject ?? "")" } else { "" } }
        #expect(subjects == ["3 user3", "1 user1", "2 user2"])
        #expect(lateAnswers == 3)
        for hit in hits { conversation.counter.answer(hit) }
        #expect(try conversation.answers().isEmpty, "an answer that comes again finds nothing")
    }

    @Test func `is given back above the limit, also where the client has gone`() throws {
        let conversation = try Conversation(limit: 1)
        conversation.counter.answersAtOnce = false
        for id in 1...3 as ClosedRange<UInt32> { try conversation.check(id, bearer("a")) }
        _ = try conversation.answers()
        conversation.session.end(late: .message(milliseconds: 1))
        _ = try conversation.answers()
        for _ in 0..<3 { conversation.counter.answer() }
        #expect(try conversation.answers().isEmpty)
        #expect(conversation.counter.counts == ["ratelimit:a:": 1])
    }

    @Test func `may be under way for as many CHECKs as the HELLO says`() throws {
        let conversation = try Conversation(limit: 3, maximumInFlight: 2)
        conversation.counter.answersAtOnce = false
        try conversation.check(1, bearer("a"))
        try conversation.check(2, bearer("a"))
        #expect(try conversation.answers().isEmpty)
        conversation.counter.answer()
        try conversation.check(3, bearer("a"))
        #expect(try conversation.answers().count == 1)
        try conversation.check(4, bearer("a"))
        #expect(try conversation.answers() == [.error("in-flight-exceeded")])
        #expect(conversation.session.isOver)
    }
}

@Suite struct `The protocol` {
    @Test func `begins with HELLOs, in which the daemon says what it wants and owns`() throws {
        let conversation = try Conversation(limit: 3, maximumInFlight: 77, isGreeted: false)
        try ClientHello(name: "test", maximumFrameBytes: 20_000).encode(to: conversation.input)
        guard case .hello(let hello)? = try conversation.answers().first else { return #expect(Bool(false)) }
        #expect(hello.maximumFrameBytes == 20_000)
        #expect(hello.maximumInFlight == 77)
        #expect(hello.wantedHeaders == ["authorization"])
        #expect(hello.ownedHeaders == ["x-user-id", "x-user-email", "x-user-role"])
    }

    @Test func `ends with ERROR where the HELLO takes too long, and without a word where nobody knows its language`() throws {
        let conversation = try Conversation(limit: 3)
        for (bytes, frames) in [([0xC1], [.error("hello-late")]), ([], [])] as [([UInt8], [ReadFrame])] {
            let session = OpeningSession(
                conversation.point, dialects: Set(Dialect.allCases), maximumInFlight: 1, output: ByteBuffer(capacity: 4096))
            let input = ByteBuffer(capacity: 64)
            input.append(bytes)
            session.receive(input, nowUnixMilliseconds: now)
            session.end(late: .greeting(milliseconds: 1000))
            #expect(try readFrames(session.output) == frames)
            #expect(session.isOver)
        }
    }

    @Test func `leaves nothing behind that a late count could call`() throws {
        let conversation = try Conversation(limit: 3)
        conversation.counter.answersAtOnce = false
        var session: OpeningSession? = OpeningSession(
            conversation.point, dialects: Set(Dialect.allCases), maximumInFlight: 1, output: ByteBuffer(capacity: 4096))
        session?.hasLateOutput = { Issue.record("output for nobody") }
        try ClientHello(name: "test").encode(to: conversation.input)
        try conversation.check(1, bearer("a"))
        session?.receive(conversation.input, nowUnixMilliseconds: now)
        #expect(conversation.counter.waiting.count == 1)
        session = nil
        conversation.counter.answer()
    }

    @Test func `answers PING with PONG, and takes a PONG that it did not ask for`() throws {
        let conversation = try Conversation(limit: 3)
        Ping.encodeAnswer(id: 3, to: conversation.input)
        Ping.encode(id: 0xFFFF_FFFF, to: conversation.input)
        #expect(try conversation.answers() == [.pong(0xFFFF_FFFF)])
        #expect(!conversation.session.isOver)
    }

    @Test func `skips a frame that it need not know`() throws {
        let conversation = try Conversation(limit: 3)
        conversation.input.append([0x81, 0, 0, 2, 0, 0, 0, 0, 1, 2] as [UInt8])
        #expect(try conversation.answers().isEmpty)
        #expect(!conversation.session.isOver)
    }

    @Test func `answers CHECKs after GOAWAY as before`() throws {
        let conversation = try Conversation(limit: 3)
        conversation.session.goAway()
        #expect(try conversation.answers() == [.goAway])
        #expect(try conversation.verdict(1, bearer("a")).isAllowed)
    }

    @Test(arguments: [
        ([0x47, 0x45, 0x54, 0x20], "frame-malformed"), ([0xC2, 0, 0, 0, 0, 0, 0, 1], "hello-expected"),
        ([0xC4, 0, 0, 0, 0, 0, 0, 1], "hello-expected"), ([0xC1, 0, 0, 0, 0, 0, 0, 0], "field-missing"),
        ([0xC1, 0, 0xFF, 0xFF], "frame-too-large"), ([0xFF], "frame-unknown"), ([0x16], "frame-malformed"),
    ] as [([UInt8], String)])
    func `ends with ERROR where no HELLO comes first`(bytes: [UInt8], code: String) throws {
        let conversation = try Conversation(limit: 3, isGreeted: false)
        conversation.input.append(bytes)
        #expect(try conversation.answers() == [.error(code)])
        #expect(conversation.session.isOver)
        try conversation.check(1, bearer("a"))
        #expect(try conversation.answers().isEmpty, "nothing is read behind an error")
    }

    @Test(arguments: [
        ([0xC1, 0, 0, 0, 0, 0, 0, 0], "frame-unexpected"), ([0xC3, 0, 0, 0, 0, 0, 0, 1], "frame-unexpected"),
        ([0xC6, 0, 0, 0, 0, 0, 0, 0], "frame-unexpected"), ([0xC4, 0, 0, 3, 0, 0, 0, 0, 0x80, 0, 0], "field-unknown"),
        ([0xC2, 2, 0, 0], "frame-too-large"), ([0x00], "frame-malformed"),
    ] as [([UInt8], String)])
    func `ends with ERROR where a frame is out of place or broken`(bytes: [UInt8], code: String) throws {
        let conversation = try Conversation(limit: 3)
        conversation.input.append(bytes)
        #expect(try conversation.answers() == [.error(code)])
    }

    @Test(arguments: [(5, 5), (5, 4), (1, 1), (1, 0)] as [(UInt32, UInt32)])
    func `never takes an id twice`(first: UInt32, second: UInt32) throws {
        let conversation = try Conversation(limit: 3)
        try conversation.check(first)
        try conversation.check(second, bearer("a"))
        let answers = try conversation.answers()
        #expect(answers.count == 2)
        #expect(answers.last == .error("id-reused"))
        #expect(conversation.counter.counts.isEmpty)
    }

    @Test func `is over when the client reports an error, and nobody answers that`() throws {
        let conversation = try Conversation(limit: 3)
        try ErrorReport(code: "internal-failure", message: "oh").encode(to: conversation.input)
        #expect(try conversation.answers().isEmpty)
        #expect(conversation.session.isOver)
    }
}
