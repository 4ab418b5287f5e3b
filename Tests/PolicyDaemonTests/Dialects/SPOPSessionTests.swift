import Bytes
import Testing

@testable import PolicyDaemon

/// A HAProxy.
final class SPOPConversation {
    let judge = ScriptedJudge()
    let input = ByteBuffer(capacity: 1024)
    let session: SPOPSession

    init(maximumInFlight: Int = 16, isGreeted: Bool = true, frameBytes: UInt32 = 16_380) {
        session = SPOPSession(judge, maximumInFlight: maximumInFlight, output: ByteBuffer(capacity: 1024))
        if isGreeted {
            send(hello(frameBytes: frameBytes))
            session.output.clear()
        }
    }

    func send(_ bytes: [UInt8]) {
        input.append(bytes)
        session.receive(input, nowUnixMilliseconds: 0)
    }

    /// The frames written since the last look.
    func frames() throws -> [SPOPRead] {
        var frames: [SPOPRead] = []
        let output = session.output
        while let frame = try SPOPFrame.parse(output.bytes, maximumBytes: 1 << 20) {
            let payload = output.bytes.extracting(frame.payload).array
            frames.append(try SPOPRead(frame, payload))
            output.consume(frame.payload.upperBound)
        }
        #expect(output.isEmpty)
        return frames
    }
}

/// A frame as HAProxy reads it: its variables, or its list of names and values.
struct SPOPRead: Equatable {
    var type: SPOPFrameType?
    var ids: SPOPFrameIDs
    var values: [String: String] = [:]

    init(_ frame: SPOPFrame, _ payload: [UInt8]) throws {
        type = frame.type
        ids = frame.ids
        #expect(frame.flags == 1)
        let bytes = payload.span
        var reader = SPOPReader(0..<payload.count)
        while !reader.isAtEnd {
            if type == .ack {
                #expect(try reader.byte(bytes) == 1 && reader.byte(bytes) == 3 && reader.byte(bytes) == 2)
            }
            let name = bytes.extracting(try reader.string(bytes)).text
            #expect(values[name] == nil)
            switch try reader.value(bytes) {
            case .bool(let value): values[name] = "\(value)"
            case .integer(let value): values[name] = "\(value)"
            case .string(let range): values[name] = bytes.extracting(range).text
            default: Issue.record("a value of an unexpected type")
            }
        }
    }
}

func frame(_ type: SPOPFrameType, _ ids: SPOPFrameIDs = SPOPFrameIDs(), _ write: (ByteBuffer) -> Void) -> [UInt8] {
    written { $0.append(type, ids, write) }
}

extension ByteBuffer {
    func append(name: String) {
        append(varint: UInt64(name.utf8.count))
        append(utf8: name)
    }

    func append(string: String) {
        let bytes = Array(string.utf8)
        append(spopString: bytes.span)
    }
}

func hello(
    versions: String? = "2.0", frameBytes: UInt32? = 16_380, capabilities: String? = "pipelining,async", healthCheck: Bool = false
) -> [UInt8] {
    frame(.haproxyHello) { frame in
        if let versions {
            frame.append(name: "supported-versions")
            frame.append(string: versions)
        }
        if let frameBytes {
            frame.append(name: "max-frame-size")
            frame.append(spopUInt32: frameBytes)
        }
        if let capabilities {
            frame.append(name: "capabilities")
            frame.append(string: capabilities)
        }
        if healthCheck {
            frame.append(name: "healthcheck")
            frame.append(spopBool: true)
        }
        frame.append(name: "engine-id")
        frame.append(string: "e-1")
    }
}

/// An argument of a message, and its typed value.
typealias Argument = (name: String, value: [UInt8])

func string(_ text: String) -> [UInt8] { written { $0.append(string: text) } }

func written(_ write: (ByteBuffer) -> Void) -> [UInt8] {
    let buffer = ByteBuffer(capacity: 256)
    write(buffer)
    return buffer.bytes.array
}

func arguments(
    method: String = "GET", target: String = "/api?x=1", address: [UInt8] = [192, 0, 2, 7],
    headers: [(String, String)] = [("host", "example.com"), ("authorization", "Bearer t")]
) -> [Argument] {
    let list = written { list in
        for (name, value) in headers + [("", "")] {
            list.append(name: name)
            list.append(name: value)
        }
    }
    return [
        ("method", string(method)), ("target", string(target)),
        ("address", address.isEmpty ? [0] : [address.count == 4 ? 6 : 7] + address),
        ("headers", [9] + written { $0.append(varint: UInt64(list.count)) } + list),
    ]
}

/// The arguments above, one of them with another value.
func arguments(_ name: String, is value: [UInt8]) -> [Argument] { arguments().map { $0.name == name ? (name, value) : $0 } }

func notify(_ arguments: [Argument] = arguments(), ids: SPOPFrameIDs = SPOPFrameIDs(stream: 1, frame: 1), message: String = "check") -> [UInt8] {
    frame(.notify, ids) { frame in
        frame.append(name: message)
        frame.append(UInt8(arguments.count))
        for argument in arguments {
            frame.append(name: argument.name)
            frame.append(argument.value)
        }
    }
}

@Suite struct `A HAProxy's HELLO` {
    @Test(arguments: [
        ("2.0", "pipelining,async", 16_380, "16380", "pipelining"), ("1.0, 2.0", "async , pipelining", 1_000_000, "65536", "pipelining"),
        ("2.3", "", 256, "256", ""), ("2.0", "fragmentation,async", 4_096, "4096", ""), ("2.0", "pipeliningx", 4_096, "4096", ""),
    ] as [(String, String, UInt32, String, String)])
    func `is answered, and only pipelining ever chosen`(
        versions: String, capabilities: String, frameBytes: UInt32, chosenBytes: String, chosen: String
    ) throws {
        let haproxy = SPOPConversation(isGreeted: false)
        #expect(!haproxy.session.isGreeted)
        haproxy.send(hello(versions: versions, frameBytes: frameBytes, capabilities: capabilities))
        let answer = try #require(try haproxy.frames().first)
        #expect(answer.type == .agentHello)
        #expect(answer.values == ["version": "2.0", "max-frame-size": chosenBytes, "capabilities": chosen])
        #expect(haproxy.session.isGreeted && !haproxy.session.isOver)
        #expect(haproxy.session.clientName == "HAProxy e-1")
    }

    @Test func `of a health check ends the connection in good order`() throws {
        let haproxy = SPOPConversation(isGreeted: false)
        haproxy.send(hello(healthCheck: true))
        #expect(try haproxy.frames().map(\.type) == [.agentHello])
        #expect(haproxy.session.isOver && haproxy.session.ending == nil)
    }

    @Test(arguments: [
        (hello(versions: nil), 5), (hello(versions: "1.0, 3.0"), 8), (hello(frameBytes: nil), 6), (hello(frameBytes: 255), 9),
        (hello(capabilities: nil), 7), (notify(), 4), (frame(.ack) { _ in }, 4), ([0, 0, 0x10, 0x01], 3), ([0, 0, 0, 6, 1, 0, 0, 0, 1, 0], 4),
        ([0, 0, 0, 8, 1, 0, 0, 0, 1, 0, 0, 200], 4),
    ] as [([UInt8], Int)])
    func `that can't be answered ends it with a code`(bytes: [UInt8], code: Int) throws {
        let haproxy = SPOPConversation(isGreeted: false)
        haproxy.send(bytes)
        let answer = try haproxy.frames()
        #expect(answer.map(\.type) == [.agentDisconnect])
        #expect(answer.first?.values["status-code"] == "\(code)")
        #expect(haproxy.session.isOver && haproxy.session.ending?.hasPrefix("\(code): ") == true)
    }
}

@Suite struct `What HAProxy asks` {
    @Test func `is a method, a target, an address and headers`() {
        let haproxy = SPOPConversation()
        haproxy.send(notify(arguments(
            method: "POST", target: "/a/%62?x", address: [0x20, 1, 0xD, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            headers: [("cookie", "a"), ("host", "b:1"), ("accept", "c"), ("cookie", "d")])))
        #expect(haproxy.judge.questions == [
            ScriptedJudge.Question(
                method: "POST", authority: "b:1", path: "/a/b", query: "x", address: "2001:db8::1", headers: ["cookie: a", "cookie: d"])
        ])
    }

    @Test func `may be of a client without an address, and of a request without Host`() {
        let haproxy = SPOPConversation()
        haproxy.send(notify(arguments(address: [], headers: [])))
        #expect(haproxy.judge.questions.map(\.address) == [""])
        #expect(haproxy.judge.questions.map(\.authority) == [""])
    }

    @Test(arguments: [
        arguments(target: "/a//b"), arguments(target: "/a%2fb"), arguments(target: "a"), arguments(target: ""), arguments(target: "/ "),
        arguments(method: "G T"), arguments(method: ""), arguments(headers: [("host", "a"), ("host", "a")]), arguments(headers: [("host", "a/b")]),
        arguments(headers: [("authorization", "a\r\nb")]), arguments("target", is: [0]),
        arguments("address", is: string("a")),
    ])
    func `and can't be judged is denied`(arguments: [Argument]) throws {
        let haproxy = SPOPConversation()
        haproxy.send(notify(arguments))
        let answer = try #require(try haproxy.frames().first)
        #expect(answer.values["allow"] == "false")
        #expect(answer.values["status"] == "400")
        #expect(answer.values["reason"] == "check-malformed")
        #expect(answer.values["response.content_type"] == "application/json")
        #expect(answer.values["body"]?.hasPrefix(#"{"error":"Bad Request","message":""#) == true)
        #expect(haproxy.judge.questions.isEmpty && !haproxy.session.isOver)
        #expect(haproxy.judge.refusedCount == 1)
    }

    @Test(arguments: [
        notify(message: "other"), notify(message: ""), notify([]), notify(Array(arguments().dropLast())),
        notify(arguments() + [("method", string("GET"))]), notify(arguments() + [("body", [0])]), notify(arguments() + [("x", [10])]),
        notify(arguments("headers", is: string("a: b"))), notify(arguments("headers", is: [9, 2, 0, 1])),
        notify(arguments("headers", is: [9, 3, 0, 0, 0])), notify(arguments("headers", is: [9, 0])),
        frame(.notify) { frame in
            for _ in 0..<2 {
                frame.append(name: "check")
                frame.append(0)
            }
        },
        frame(.haproxyHello) { _ in }, frame(.ack) { _ in }, frame(.unset) { _ in }, [0, 0, 0, 7, 3, 0, 0, 0, 0, 0, 0],
        [0, 0, 0x3F, 0xFD], [0, 0, 0, 0], [0xFF, 0, 0, 0],
    ])
    func `and isn't what was agreed upon ends the connection`(bytes: [UInt8]) throws {
        let haproxy = SPOPConversation()
        haproxy.send(bytes + notify())
        #expect(try haproxy.frames().map(\.type) == [.agentDisconnect])
        #expect(haproxy.session.isOver && haproxy.session.ending != nil)
        #expect(haproxy.judge.questions.isEmpty)
    }

    @Test func `a frame of a type that nobody knows is skipped`() throws {
        let haproxy = SPOPConversation()
        haproxy.send([0, 0, 0, 8, 77, 0, 0, 0, 1, 0, 0, 9] + notify())
        #expect(try haproxy.frames().map(\.type) == [.ack])
    }

    @Test func `may come byte by byte`() {
        let haproxy = SPOPConversation(isGreeted: false)
        for byte in hello() + notify() + notify() { haproxy.send([byte]) }
        #expect(haproxy.judge.questions.count == 2)
    }
}

@Suite struct `What HAProxy is answered` {
    @Test func `is variables, those of the owned headers always`() throws {
        let haproxy = SPOPConversation()
        haproxy.judge.verdict = { allow(query: "a=b", response: [("allow", "GET"), ("x.y!z", "1")]) }
        haproxy.send(notify(ids: SPOPFrameIDs(stream: 70_000, frame: 3)))
        let answer = try #require(try haproxy.frames().first)
        #expect(answer.ids == SPOPFrameIDs(stream: 70_000, frame: 3))
        #expect(answer.values == [
            "allow": "true", "status": "200", "reason": "allowed", "subject": "usr_1", "query": "a=b", "request.x_user_id": "usr_1",
            "request.x_user_email": "", "request.authorization": "", "response.x_ratelimit_limit": "100", "response.allow": "GET",
            "response.x_y_z": "1",
        ])
    }

    @Test func `of a denial has its status and body`() throws {
        let haproxy = SPOPConversation()
        haproxy.judge.verdict = { deny(429, response: [("retry-after", "7")]) }
        haproxy.send(notify())
        #expect(try haproxy.frames().map(\.values) == [[
            "allow": "false", "status": "429", "reason": "limit-exceeded", "subject": "", "body": #"{"error":"x"}"#,
            "response.content_type": "application/json", "response.retry_after": "7",
        ]])
    }

    @Test func `comes in whatever order verdicts do`() throws {
        let haproxy = SPOPConversation()
        haproxy.judge.answersAtOnce = false
        for number in 1...3 { haproxy.send(notify(ids: SPOPFrameIDs(stream: UInt64(number), frame: 1))) }
        haproxy.judge.answer(2)
        haproxy.judge.answer(0)
        haproxy.judge.answer(0)
        #expect(try haproxy.frames().map(\.ids.stream) == [3, 1, 2])
    }

    @Test func `denies where an answer is larger than a frame`() throws {
        let haproxy = SPOPConversation(frameBytes: 256)
        haproxy.judge.verdict = { allow(response: [("x-a", String(repeating: "a", count: 256))]) }
        haproxy.send(notify(arguments(headers: [])))
        #expect(try haproxy.frames().map(\.values) == [["allow": "false", "status": "500", "reason": "verdict-too-large"]])
    }

    @Test func `has a limit on what is unanswered`() throws {
        let haproxy = SPOPConversation(maximumInFlight: 2)
        haproxy.judge.answersAtOnce = false
        haproxy.send(notify() + notify() + notify())
        #expect(try haproxy.frames().map { $0.values["status-code"] } == ["13"])
        haproxy.judge.answer()
        #expect(try haproxy.frames().isEmpty)
    }

    @Test func `ends with a DISCONNECT: in reply to one, in a drain, and where a frame is late`() throws {
        let leaving = SPOPConversation()
        leaving.send(frame(.haproxyDisconnect) { frame in
            frame.append(name: "status-code")
            frame.append(spopUInt32: 2)
            frame.append(name: "message")
            frame.append(string: "a timeout occurred")
        })
        #expect(try leaving.frames().map(\.type) == [.agentDisconnect])
        #expect(leaving.session.isOver && leaving.session.ending == "HAProxy reports 2: a timeout occurred")

        let draining = SPOPConversation()
        draining.judge.answersAtOnce = false
        draining.send(notify())
        draining.session.goAway()
        #expect(!draining.session.isOver)
        draining.judge.answer()
        #expect(try draining.frames().map(\.type) == [.ack, .agentDisconnect])
        #expect(draining.session.isOver && draining.session.ending == nil)

        let late = SPOPConversation(isGreeted: false)
        late.session.end(late: .greeting(milliseconds: 1_000))
        #expect(late.session.isOver && late.session.ending == "2: no HELLO in 1000 ms")
    }
}

@Suite struct `Values of SPOP` {
    @Test(arguments: [
        (0, [0]), (239, [239]), (240, [0xF0, 0]), (255, [0xFF, 0]), (256, [0xF0, 1]), (2_287, [0xFF, 0x7F]), (2_288, [0xF0, 0x80, 0]),
        (264_431, [0xFF, 0xFF, 0x7F]), (264_432, [0xF0, 0x80, 0x80, 0]), (4_328_786_159, [0xFF, 0xFF, 0xFF, 0xFF, 0x7F]),
        (UInt64.max, [0xFF, 0xF0, 0xFE, 0xFE, 0xFE, 0xFE, 0xFE, 0xFE, 0xFE, 0x0E]),
    ] as [(UInt64, [UInt8])])
    func `an integer is written and read alike`(number: UInt64, bytes: [UInt8]) throws {
        let buffer = ByteBuffer(capacity: 16)
        buffer.append(varint: number)
        #expect(buffer.bytes.array == bytes)
        var reader = SPOPReader(0..<bytes.count)
        #expect(try reader.varint(bytes.span) == number)
        #expect(reader.isAtEnd)
    }

    @Test(arguments: [
        [0xF0], [0xFF, 0xFF, 0xFF], [0xFF, 0xF0, 0xFE, 0xFE, 0xFE, 0xFE, 0xFE, 0xFE, 0xFE, 0x0F],
        [0xF0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0],
    ] as [[UInt8]])
    func `an integer that ends too soon or is too large is refused`(bytes: [UInt8]) {
        #expect(throws: SPOPError.self) {
            var reader = SPOPReader(0..<bytes.count)
            _ = try reader.varint(bytes.span)
        }
    }

    @Test(arguments: [
        ([127, 0, 0, 1], "127.0.0.1"), ([0, 0, 0, 0], "0.0.0.0"), ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], "::1"),
        ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "::"),
        ([0x20, 1, 0xD, 0xB8, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1], "2001:db8::1:0:0:1"),
        ([0x20, 1, 0xD, 0xB8, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1], "2001:db8:0:1:1:1:1:1"),
        ([0xFE, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "fe80::"), ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 1, 2, 3, 4], "::ffff:1.2.3.4"),
    ] as [([UInt8], String)])
    func `an address is written as people write it`(bytes: [UInt8], text: String) {
        let buffer = ByteBuffer(capacity: 16)
        buffer.append(address: bytes.span)
        #expect(buffer.bytes.text == text)
    }
}

@Suite struct `Mutated SPOP frames` {
    @Test func `never trap, and are judged only where they are whole`() throws {
        var random = SplitMix64(state: 0x7370_6F70)
        let exchanges = [hello() + notify(), hello() + notify(arguments(address: [])) + notify(arguments(target: "/%61")), hello(healthCheck: true)]
        for round in 0..<10_000 {
            let haproxy = SPOPConversation(isGreeted: false)
            let bytes = mutation(of: exchanges[round % exchanges.count], &random)
            let cut = Int.random(in: 0...bytes.count, using: &random)
            haproxy.send(Array(bytes[..<cut]))
            haproxy.send(Array(bytes[cut...]))
            _ = try haproxy.frames()
            for question in haproxy.judge.questions { #expect(question.path == "*" || question.path.hasPrefix("/")) }
            #expect(haproxy.session.ending == nil || haproxy.session.isOver)
        }
    }
}
