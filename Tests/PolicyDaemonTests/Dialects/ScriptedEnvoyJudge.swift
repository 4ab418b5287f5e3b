import Bytes
import EnvoyProtocol
import Policy
import PolicyProtocol

@testable import PolicyDaemon

/// Judges by the bearer token alone: `good` and `late` are allowed (`late` not before ``settle()``), `odd` gets what Envoy has no words for,
/// `over` is over the limit, `large` is denied with 30,000 bytes, all else is denied. A parameter `access_token` is taken out of the query.
final class ScriptedEnvoyJudge: Judge, RateLimitJudge {
    let ownedHeaders = ["x-user-id", "x-user-roles", "x-user-email"]
    let wantedHeaders = ["authorization"]
    /// A request as it came to be judged.
    struct Judged {
        let method, authority, path, address: String
        let query: String?
        let headers: [[String]]
    }

    private(set) var judged: [Judged] = []
    private(set) var refusedCount = 0
    /// Keep requests for the tests to look at.
    var keepsRequests = true
    /// Called where a verdict was put off.
    var hasPutOff: () -> Void = {}
    private var putOff: [() -> Void] = []
    private let frame = ByteBuffer(capacity: 1024)

    func judge(
        _ request: RequestParts, _ bytes: Span<UInt8>, nowUnixMilliseconds: Int64, receiver: any VerdictReceiver, ticket: UInt64
    ) {
        if keepsRequests { note(request, bytes) }
        let tokens = request.headers.filter { bytes.extracting($0.name).equals("authorization") }.map { bytes.extracting($0.value).text }
        guard tokens.count == 1 else {
            return deliver(tokens.isEmpty ? 401 : 400, tokens.isEmpty ? "token-missing" : "authorization-repeated", "", to: receiver, ticket)
        }
        let query = request.query.map { bytes.extracting($0).text }
        switch tokens[0] {
        case "Bearer good": allow(query, "user123", to: receiver, ticket)
        case "Bearer odd": allow(query, nil, to: receiver, ticket)
        case "Bearer late":
            putOff.append { self.allow(query, "user123", to: receiver, ticket) }
            hasPutOff()
        case "Bearer over": deliver(429, "limit-exceeded", "user123", to: receiver, ticket)
        case "Bearer large": deliver(403, "large", "", body: String(repeating: "x", count: 30_000), to: receiver, ticket)
        default: deliver(401, "token-signature-invalid", "", to: receiver, ticket)
        }
    }

    private func note(_ request: RequestParts, _ bytes: Span<UInt8>) {
        judged.append(
            Judged(
                method: bytes.extracting(request.method).text, authority: bytes.extracting(request.authority).text,
                path: bytes.extracting(request.path).text, address: bytes.extracting(request.clientAddress).text,
                query: request.query.map { bytes.extracting($0).text },
                headers: request.headers.map { [bytes.extracting($0.name).text, bytes.extracting($0.value).text] }))
    }

    func noteRefused() { refusedCount += 1 }

    /// Delivers what was put off.
    func settle() {
        let due = putOff
        putOff.removeAll()
        for deliver in due { deliver() }
    }

    private func allow(_ query: String?, _ user: String?, to receiver: any VerdictReceiver, _ ticket: UInt64) {
        let subject = user.map(bytes) ?? [0xFF]
        frame.clear()
        var verdict = VerdictWriter(allow: 0, reason: bytes("allowed").span, to: frame, maximumFrameBytes: 65_536)
        verdict.subject(subject.span)
        verdict.setRequestHeader(bytes("x-user-id").span, subject.span)
        verdict.setRequestHeader(bytes("x-user-roles").span, bytes("user").span)
        verdict.removeRequestHeader(bytes("authorization").span)
        if let query, query.contains("access_token=") {
            let left = query.split(separator: "&", omittingEmptySubsequences: false).filter { !$0.hasPrefix("access_token=") }
            verdict.query(bytes(left.joined(separator: "&")).span)
        }
        verdict.setResponseHeader(bytes("x-ratelimit-limit").span, decimal: 100)
        verdict.setResponseHeader(bytes("x-ratelimit-remaining").span, decimal: 99)
        verdict.setResponseHeader(bytes("x-ratelimit-reset").span, decimal: 1_999_999_999)
        try? verdict.finish()
        deliver(to: receiver, ticket)
    }

    private func deliver(
        _ status: UInt16, _ reason: String, _ user: String, body: String? = nil, to receiver: any VerdictReceiver, _ ticket: UInt64
    ) {
        frame.clear()
        var verdict = VerdictWriter(deny: 0, status: status, reason: bytes(reason).span, to: frame, maximumFrameBytes: 65_536)
        if !user.isEmpty { verdict.subject(bytes(user).span) }
        verdict.setResponseHeader(bytes("content-type").span, bytes("application/json").span)
        if status == 429 { verdict.setResponseHeader(bytes("retry-after").span, decimal: 30) }
        if status == 401 { verdict.setResponseHeader(bytes("www-authenticate").span, bytes(#"Bearer realm="gatehouse""#).span) }
        verdict.body(bytes(body ?? #"{"error":"\#(reason)"}"#).span)
        try? verdict.finish()
        deliver(to: receiver, ticket)
    }

    private func deliver(to receiver: any VerdictReceiver, _ ticket: UInt64) {
        let frame = self.frame
        let bytes = frame.bytes
        let payload = bytes.extracting(FrameHeader.byteCount..<bytes.count)
        guard let message = try? VerdictMessage.parse(payload) else { fatalError("a verdict that cannot be read") }
        receiver.verdict(payload, message, ticket: ticket)
    }

    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    /// A descriptor whose first entry is `limit` is counted against a limit of ten a minute, of which its value are used up already.
    func judge(
        _ request: RateLimitRequest, _ bytes: Span<UInt8>, nowUnixMilliseconds: Int64, receiver: any RateLimitReceiver, ticket: UInt64
    ) {
        guard !bytes.extracting(request.domain).equals("lost") else { return receiver.limited(.unavailable, ticket: ticket) }
        var findings: [LimitFinding?] = []
        for descriptor in request.descriptors {
            guard let entry = descriptor.entries.first, bytes.extracting(entry.key).equals("limit"), let used = Int(bytes.extracting(entry.value).text)
            else {
                findings.append(nil)
                continue
            }
            let left = 10 - used - Int(descriptor.hits)
            findings.append(
                LimitFinding(
                    name: "ten", isOver: left < 0, limit: 10, windowSeconds: 60, remaining: max(left, 0),
                    resetUnixSeconds: nowUnixMilliseconds / 1000 + 20, retryAfterSeconds: left < 0 ? 20 : 0))
        }
        let closest = findings.compactMap(\.self).min { $0.remaining < $1.remaining }
        receiver.limited(.judged(findings, closest: closest), ticket: ticket)
    }
}
