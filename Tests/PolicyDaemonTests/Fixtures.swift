import Bytes
import Counters
import JSON
import JSONWebToken
import Policy
import PolicyProtocol

@testable import PolicyDaemon

let key = HMACKey(secret: Array("0123456789abcdef0123456789abcdef".utf8))!
/// 2024-11-19T11:59:30Z
let now: Int64 = 1_732_017_570_000

func token(_ userID: String, expiresAt: Int64 = now / 1000 + 3600) -> String {
    TokenSigner.sign(
        JSONObject([
            ("userId", .string(userID)), ("email", .string("dev@example.com")), ("exp", .number(JSONNumber(expiresAt))),
        ]), with: key)
}

/// Counts as a store would, and answers at once or when told to.
final class StandInCounter: HitCounter {
    struct Hit {
        let receiver: any CountReceiver
        let ticket: UInt64
        let result: CountResult
    }

    var answersAtOnce = true
    /// Answered instead of a count where it is set.
    var failure: FailureMode?
    var isFallback = false
    private(set) var counts: [String: Int] = [:]
    private(set) var waiting: [Hit] = []

    func hit(
        keyPrefix: Span<UInt8>, window: Window, nowUnixMilliseconds: Int64, receiver: any CountReceiver, ticket: UInt64
    ) -> CountOutcome {
        if let failure { return .done(.unavailable(failure)) }
        counts[keyPrefix.text, default: 0] += 1
        let result = CountResult.counted(
            WindowCounts(current: counts[keyPrefix.text] ?? 0, previous: 0),
            number: window.number(at: nowUnixMilliseconds / 1000), isFallback: isFallback)
        if answersAtOnce { return .done(result) }
        waiting.append(Hit(receiver: receiver, ticket: ticket, result: result))
        return .pending
    }

    func giveBack(keyPrefix: Span<UInt8>, window: Window, number: Int64, isFallback: Bool) {
        counts[keyPrefix.text, default: 0] -= 1
    }

    /// Answers the `index`th of the waiting hits.
    func answer(_ index: Int = 0) {
        let hit = waiting.remove(at: index)
        hit.receiver.counted(ticket: hit.ticket, hit.result)
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

    init(_ payload: Span<UInt8>) throws {
        let message = try VerdictMessage.parse(payload)
        isAllowed = message.decision == .allow
        reason = message.reason.bytes(in: payload).text
        subject = message.subject.map { $0.bytes(in: payload).text }
        status = message.status
        body = message.body.bytes(in: payload).text
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

/// Appends a CHECK with these `Authorization` fields.
func appendCheck(_ id: UInt32, _ authorization: [String], to buffer: ByteBuffer) throws {
    let (method, authority, target) = (Array("GET".utf8), Array("localhost:3000".utf8), Array("/api/projects".utf8))
    let (peer, name) = (Array("127.0.0.1".utf8), Array("authorization".utf8))
    var writer = CheckWriter(
        id: id, method: method.span, scheme: .http, authority: authority.span, target: target.span, peerAddress: peer.span,
        peerPort: nil, to: buffer, maximumFrameBytes: ProtocolLimits.defaultFrameBytes)
    for field in authorization {
        let value = Array(field.utf8)
        writer.header(name: name.span, value: value.span)
    }
    try writer.finish()
}
