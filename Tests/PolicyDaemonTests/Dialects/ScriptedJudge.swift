import Bytes
import Policy
import PolicyProtocol

@testable import PolicyDaemon

/// Notes what it is asked, and answers as told: at once, or when the test says.
final class ScriptedJudge: Judge {
    struct Question: Equatable {
        var method = ""
        var authority = ""
        var path = ""
        var query: String?
        var address = ""
        var headers: [String] = []
    }

    private struct Waiting {
        let receiver: any VerdictReceiver
        let ticket: UInt64
        let payload: [UInt8]
    }

    var ownedHeaders = ["x-user-id", "x-user-email"]
    var wantedHeaders = ["authorization", "cookie"]
    var answersAtOnce = true
    /// Writes the verdict on the next questions.
    var verdict: () -> [UInt8] = { allow() }
    private(set) var questions: [Question] = []
    private(set) var refusedCount = 0
    private var waiting: [Waiting] = []

    func judge(
        _ request: RequestParts, _ bytes: Span<UInt8>, nowUnixMilliseconds: Int64, receiver: any VerdictReceiver, ticket: UInt64
    ) {
        var question = Question()
        question.method = bytes.extracting(request.method).text
        question.authority = bytes.extracting(request.authority).text
        question.path = bytes.extracting(request.path).text
        question.query = request.query.map { bytes.extracting($0).text }
        question.address = bytes.extracting(request.clientAddress).text
        for header in request.headers {
            question.headers.append("\(bytes.extracting(header.name).text): \(bytes.extracting(header.value).text)")
        }
        questions.append(question)
        let payload = verdict()
        if answersAtOnce {
            Self.answer(receiver, ticket, payload)
        } else {
            waiting.append(Waiting(receiver: receiver, ticket: ticket, payload: payload))
        }
    }

    func noteRefused() { refusedCount += 1 }

    /// Answers the `index`th of the questions that wait.
    func answer(_ index: Int = 0) {
        let question = waiting.remove(at: index)
        Self.answer(question.receiver, question.ticket, question.payload)
    }

    private static func answer(_ receiver: any VerdictReceiver, _ ticket: UInt64, _ payload: [UInt8]) {
        receiver.verdict(payload.span, try! VerdictMessage.parse(payload.span), ticket: ticket)
    }
}

/// A verdict's payload that lets pass: `id` as the user's, the authorization taken out, a limit told.
func allow(id: String = "usr_1", query: String? = nil, request: [(String, String)] = [], response: [(String, String)] = []) -> [UInt8] {
    let frame = ByteBuffer(capacity: 256)
    let (reason, id) = (Array("allowed".utf8), Array(id.utf8))
    var writer = VerdictWriter(allow: 1, reason: reason.span, to: frame, maximumFrameBytes: 65_536)
    writer.subject(id.span)
    let (userID, authorization) = (Array("x-user-id".utf8), Array("authorization".utf8))
    writer.setRequestHeader(userID.span, id.span)
    writer.removeRequestHeader(authorization.span)
    for (name, value) in request {
        let (name, value) = (Array(name.utf8), Array(value.utf8))
        writer.setRequestHeader(name.span, value.span)
    }
    for (name, value) in [("x-ratelimit-limit", "100")] + response {
        let (name, value) = (Array(name.utf8), Array(value.utf8))
        writer.setResponseHeader(name.span, value.span)
    }
    if let query {
        let query = Array(query.utf8)
        writer.query(query.span)
    }
    try! writer.finish()
    return payload(of: frame)
}

/// A verdict's payload that denies with a JSON body.
func deny(_ status: UInt16, body: String = #"{"error":"x"}"#, response: [(String, String)] = []) -> [UInt8] {
    let frame = ByteBuffer(capacity: 256)
    let (reason, body) = (Array("limit-exceeded".utf8), Array(body.utf8))
    var writer = VerdictWriter(deny: 1, status: status, reason: reason.span, to: frame, maximumFrameBytes: 65_536)
    for (name, value) in [("content-type", "application/json")] + response {
        let (name, value) = (Array(name.utf8), Array(value.utf8))
        writer.setResponseHeader(name.span, value.span)
    }
    writer.body(body.span)
    try! writer.finish()
    return payload(of: frame)
}

private func payload(of frame: ByteBuffer) -> [UInt8] {
    let bytes = frame.bytes
    return bytes.extracting(FrameHeader.byteCount..<bytes.count).array
}

/// One to four changes: a byte replaced, inserted or removed, a stretch doubled, or the end cut off.
func mutation(of bytes: [UInt8], _ random: inout SplitMix64) -> [UInt8] {
    let interesting: [UInt8] = Array("\r\n\0 \t:;,/.%25-".utf8) + [0x7F, 0x80, 0xEF, 0xF0, 0xFF]
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
        let place = bytes.indices.randomElement(using: &random)!
        let byte = Bool.random(using: &random) ? interesting.randomElement(using: &random)! : UInt8.random(in: 0...255, using: &random)
        switch Int.random(in: 0..<5, using: &random) {
        case 0: bytes[place] = byte
        case 1: bytes.insert(byte, at: place)
        case 2: bytes.remove(at: place)
        case 3: bytes.insert(contentsOf: bytes[place...].prefix(8), at: place)
        default: bytes.removeLast(Int.random(in: 0..<min(bytes.count, 4), using: &random))
        }
    }
    return bytes
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
