import Bytes
import Counters
import EventLoop
import Foundation
import JSON
import Logging
import Policy
import PolicyProtocol
import Telemetry
import Testing

@testable import JSONWebToken
@testable import PolicyDaemon

let signingSecret = "0123456789abcdef0123456789abcdef"
/// 2024-11-19T11:59:30Z
let now: Int64 = 1_732_017_570_000

let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// - Parameter claims: beside `userId`, `email` and `exp`.
func token(
    _ userID: String, expiresAt: Int64 = now / 1000 + 3600, claims: [(String, JSONValue)] = [], signedWith key: PrivateKey? = nil
) throws -> String {
    let standard: [(String, JSONValue)] = [
        ("userId", .string(userID)), ("email", .string("dev@example.com")), ("exp", .number(JSONNumber(expiresAt))),
    ]
    return try TokenSigner.sign(JSONObject(standard + claims), with: key ?? PrivateKey(secret: Array(signingSecret.utf8)))
}

/// The value of an `Authorization` field.
func bearer(_ userID: String, expiresAt: Int64 = now / 1000 + 3600, claims: [(String, JSONValue)] = []) throws -> String {
    "Bearer " + (try token(userID, expiresAt: expiresAt, claims: claims))
}

/// What a configuration file with this text comes to.
func setup(_ text: String = "", replacing previous: Setup? = nil, decisionLog: LogWriter? = nil, registry: MetricRegistry = MetricRegistry()) throws -> Setup {
    let configuration = try DaemonConfiguration.read(text: text, environment: ["JWT_SECRET": signingSecret])
    return try Setup(configuration, replacing: previous, registry: registry, decisionLog: decisionLog, logger: silent)
}

extension MetricRegistry {
    /// The lines of the text format that don't say 0 and that begin so.
    func lines(_ prefix: String) -> [String] {
        let buffer = ByteBuffer(capacity: 65_536)
        write(to: buffer)
        return buffer.bytes.text.split(separator: "\n").map(String.init).filter { $0.hasPrefix(prefix) && !$0.hasSuffix(" 0") }
    }
}

/// Counts as a store would, and answers at once or when told to.
final class StandInCounter: HitCounter {
    struct Question {
        let receiver: any CountReceiver
        let ticket: UInt64
        let key: String
        let result: Result

        enum Result {
            case count(CountResult)
            case revocation(RevocationResult)
        }
    }

    var answersAtOnce = true
    /// Answered instead of a count where it is set.
    var failure: FailureMode?
    var isFallback = false
    /// What is known to be over, and until when.
    var knownOver: [String: Int64] = [:]
    var revocations: [String: RevocationResult] = [:]
    var counts: [String: Int] = [:]
    /// Keys that were asked for, in their order.
    private(set) var asked: [String] = []
    /// What was given back because its own limit refused it, and until when it is over.
    private(set) var refused: [String: Int64] = [:]
    private(set) var waiting: [Question] = []

    func hit(
        key: Span<UInt8>, quota: Quota, cost: Int, nowUnixMilliseconds: Int64, receiver: any CountReceiver, ticket: UInt64
    ) -> CountOutcome {
        let key = key.text
        asked.append(key)
        if let failure { return .done(.unavailable(failure)) }
        if let until = knownOver[key] { return .done(.knownOver(untilUnixMilliseconds: until)) }
        counts[key, default: 0] += cost
        let counted = WindowCounts(current: counts[key] ?? 0, previous: 0)
        let receipt = HitReceipt(
            cost == 0 ? .nothing : .window(quota.window.number(atMilliseconds: nowUnixMilliseconds)), unixMilliseconds: nowUnixMilliseconds,
            isFallback: isFallback)
        let result = CountResult.counted(.windows(counted), receipt)
        if answersAtOnce { return .done(result) }
        waiting.append(Question(receiver: receiver, ticket: ticket, key: key, result: .count(result)))
        return .pending
    }

    func revocation(of key: Span<UInt8>, receiver: any CountReceiver, ticket: UInt64) -> RevocationOutcome {
        let key = key.text
        asked.append(key)
        let result = revocations[key] ?? .notRevoked
        if answersAtOnce { return .done(result) }
        waiting.append(Question(receiver: receiver, ticket: ticket, key: key, result: .revocation(result)))
        return .pending
    }

    func giveBack(key: Span<UInt8>, quota: Quota, cost: Int, _ receipt: HitReceipt, overUntilUnixMilliseconds: Int64?) {
        counts[key.text, default: 0] -= cost
        if let overUntilUnixMilliseconds { refused[key.text] = overUntilUnixMilliseconds }
    }

    /// Answers the `index`th of the waiting questions.
    func answer(_ index: Int = 0) {
        let question = waiting.remove(at: index)
        answer(question)
    }

    func answer(_ question: Question) {
        switch question.result {
        case .count(let result): question.receiver.counted(ticket: question.ticket, result)
        case .revocation(let result): question.receiver.lookedUp(ticket: question.ticket, result)
        }
    }
}

/// Asks until it is so, for a minute at the most: the machine may be busy.
func wait(_ what: String, _ isSo: () -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(60)
    while !isSo() {
        try #require(ContinuousClock.now < deadline, "no \(what) within a minute")
        try await Task.sleep(for: .milliseconds(2))
    }
}

/// A verdict as a client reads it.
struct ReadVerdict: Equatable {
    var isAllowed: Bool
    var reason: String
    var subject: String?
    var status: UInt16?
    var body: String
    var request: [String]
    var response: [String]
    var query: String?

    init(_ payload: Span<UInt8>) throws {
        let message = try VerdictMessage.parse(payload)
        isAllowed = message.decision == .allow
        reason = message.reason.bytes(in: payload).text
        subject = message.subject.map { $0.bytes(in: payload).text }
        status = message.status
        body = message.body.bytes(in: payload).text
        query = message.query.map { $0.bytes(in: payload).text }
        request = Self.operations(on: .request, payload)
        response = Self.operations(on: .response, payload)
    }

    private static func operations(on side: OperationSide, _ payload: Span<UInt8>) -> [String] {
        var lines: [String] = []
        var position = 0
        while let operation = VerdictMessage.nextOperation(on: side, in: payload, from: &position) {
            let name = operation.name.bytes(in: payload).text
            lines.append(operation.kind == .set ? "\(name): \(operation.value.bytes(in: payload).text)" : "-\(name)")
        }
        return lines
    }
}

/// What the daemon says to a client.
enum ReadFrame: Equatable {
    case hello(DaemonHello)
    case verdict(UInt32, ReadVerdict)
    case pong(UInt32)
    case goAway
    case error(String)
}

/// Takes all whole frames off `buffer`.
func readFrames(_ buffer: ByteBuffer) throws -> [ReadFrame] {
    var frames: [ReadFrame] = []
    while let frame = try readFrame(buffer) { frames.append(frame) }
    return frames
}

func readFrame(_ buffer: ByteBuffer) throws -> ReadFrame? {
    let bytes = buffer.bytes
    guard case .frame(let header) = try FrameHeader.parse(bytes, maximumFrameBytes: 1_048_576) else { return nil }
    let payload = bytes.extracting(header.payloadRange)
    let frame: ReadFrame
    switch header.type {
    case .hello: frame = .hello(try DaemonHello.parse(payload, answering: ClientHello(name: "test")))
    case .verdict: frame = .verdict(header.id, try ReadVerdict(payload))
    case .pong: frame = .pong(header.id)
    case .goAway: frame = .goAway
    case .error: frame = .error(try ErrorReport.parse(payload, id: header.id).code)
    default: throw ProtocolError(.frameUnexpected, "a frame that no daemon sends")
    }
    buffer.consume(header.frameByteCount)
    return frame
}

/// Appends a CHECK with these `Authorization` fields, and others.
func appendCheck(
    _ id: UInt32, _ authorization: [String], method: String = "GET", target: String = "/api/projects", peer: String = "127.0.0.1",
    headers: [(String, String)] = [], to buffer: ByteBuffer
) throws {
    let (method, authority, target) = (Array(method.utf8), Array("localhost:3000".utf8), Array(target.utf8))
    let peer = Array(peer.utf8)
    var writer = CheckWriter(
        id: id, method: method.span, scheme: .http, authority: authority.span, target: target.span, peerAddress: peer.span,
        peerPort: nil, to: buffer, maximumFrameBytes: ProtocolLimits.defaultFrameBytes)
    for field in authorization.map({ ("authorization", $0) }) + headers {
        let (name, value) = (Array(field.0.utf8), Array(field.1.utf8))
        writer.header(name: name.span, value: value.span)
    }
    try writer.finish()
}
