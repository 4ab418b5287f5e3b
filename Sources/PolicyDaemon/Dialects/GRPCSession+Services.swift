import Bytes
import EnvoyProtocol
import HTTPMessage
import PolicyProtocol

// MARK: envoy.service.auth.v3.Authorization

extension GRPCSession: VerdictReceiver {
    func check(_ call: GRPCCall, _ message: Range<Int>) throws {
        let content = call.content
        let bytes = content.bytes
        var request = exchange(&self.request, with: CheckRequest())
        defer { self.request = request }
        try request.read(bytes, message)
        Self.note(request, bytes, in: call)
        let ticket = suspend(call)
        do throws(MessageRefusal) {
            try draft.fill(from: request, bytes)
        } catch {
            judge.noteRefused()
            return refused.deny(error) { payload, message in verdict(payload, message, ticket: ticket) }
        }
        let buffer = draft.buffer
        judge.judge(draft.parts, buffer.bytes, nowUnixMilliseconds: nowUnixMilliseconds, receiver: self, ticket: ticket)
    }

    func verdict(_ payload: Span<UInt8>, _ message: VerdictMessage, ticket: UInt64) {
        guard let call = resume(ticket) else { return }
        answer.write(payload, message, on: call, to: beginResponse())
        respond(call)
    }

    func allowed(_ allow: RepeatedAllow, ticket: UInt64) -> Bool {
        guard let waiting = call(waitingFor: ticket), waiting.foldableNames.isEmpty else { return false }
        guard answer.write(allow, on: waiting, to: beginResponse()) else { return false }
        if let call = resume(ticket) { respond(call) }
        return true
    }

    /// Keeps what the answer will need of the request.
    private static func note(_ request: CheckRequest, _ bytes: Span<UInt8>, in call: GRPCCall) {
        var parts = request.path
        while !parts.isEmpty, bytes[parts.lowerBound] != UInt8(ascii: "?") { parts = parts.lowerBound + 1..<parts.upperBound }
        if !parts.isEmpty { call.query = parts.lowerBound + 1..<parts.upperBound }
        for header in request.headers where bytes.extracting(header.name).mayBeFolded { call.foldableNames.append(header.name) }
    }
}

extension RequestDraft {
    fileprivate func fill(from request: CheckRequest, _ bytes: Span<UInt8>) throws(MessageRefusal) {
        begin()
        try setMethod(bytes.extracting(request.method))
        try setAuthority(bytes.extracting(request.host))
        try setTarget(bytes.extracting(request.path))
        try setClientAddress(bytes.extracting(request.sourceAddress))
        for header in request.headers {
            let name = bytes.extracting(header.name)
            guard name.count > 0, name[0] != UInt8(ascii: ":") else { continue }
            try addHeader(name, bytes.extracting(header.value))
        }
    }
}

// MARK: envoy.service.ratelimit.v3.RateLimitService

extension GRPCSession: RateLimitReceiver {
    func limit(_ call: GRPCCall, _ message: Range<Int>) throws {
        guard let limits else { throw GRPCStatus(.unimplemented, "no limits are configured for the rate limit service") }
        let content = call.content
        let bytes = content.bytes
        let request = try RateLimitRequest(bytes, message)
        guard !request.domain.isEmpty, !request.descriptors.isEmpty else {
            throw GRPCStatus(.invalidArgument, "a request without a domain or without a descriptor")
        }
        let ticket = suspend(call)
        limits.judge(request, bytes, nowUnixMilliseconds: nowUnixMilliseconds, receiver: self, ticket: ticket)
    }

    func limited(_ outcome: RateLimitOutcome, ticket: UInt64) {
        guard let call = resume(ticket) else { return }
        switch outcome {
        case .judged(let findings, let closest):
            RateLimitResponse(findings, closest: closest).write(to: beginResponse(), nowUnixSeconds: nowUnixMilliseconds / 1000)
            respond(call)
        case .unavailable: respond(call, GRPCStatus(.unavailable, "the limits can not be checked at the moment"))
        }
    }
}

// MARK: grpc.health.v1.Health

extension GRPCSession {
    func health(_ call: GRPCCall, _ message: Range<Int>) throws {
        let content = call.content
        let bytes = content.bytes
        let service = bytes.extracting(try HealthCheck.service(bytes, message))
        guard GRPCMethod.services.contains(where: { service.equals($0) }) else { throw GRPCStatus(.notFound, "unknown service") }
        HealthCheck.write(isServing: !isLeaving, to: beginResponse())
        respond(call)
    }
}
