import Bytes
import Policy
import PolicyProtocol

private let authorization = Array("authorization".utf8)
private let contentType = Array("content-type".utf8)
private let json = Array("application/json".utf8)
private let challenge = Array("www-authenticate".utf8)
private let retryAfter = Array("retry-after".utf8)
private let limit = Array("x-ratelimit-limit".utf8)
private let limitRemaining = Array("x-ratelimit-remaining".utf8)
private let limitReset = Array("x-ratelimit-reset".utf8)

extension Policy.Decision {
    /// The headers a CHECK has to carry for the policy to judge it.
    static let wantedHeaders = ["authorization"]

    /// Appends this decision as the VERDICT on the CHECK `id`.
    ///
    /// - Parameter token: the request's, where it was verified.
    /// - Throws: `frameTooLarge`, with the buffer as it was.
    func encode(
        id: UInt32, token: KnownToken?, to output: ByteBuffer, maximumFrameBytes: Int
    ) throws(ProtocolError) {
        if let denial {
            try encode(denial, id: id, to: output, maximumFrameBytes: maximumFrameBytes)
        } else if let token, let limit, reason == .allowed {
            var verdict = VerdictWriter(token.allow, id: id, to: output, maximumFrameBytes: maximumFrameBytes)
            verdict.setRemaining(limit)
            try verdict.finish()
        } else {
            let reason = self.reason.bytes
            var verdict = VerdictWriter(
                allow: id, reason: reason.span, to: output, maximumFrameBytes: maximumFrameBytes)
            if let principal { verdict.setIdentity(principal) }
            if let limit { verdict.setLimit(limit) }
            try verdict.finish()
        }
    }

    private func encode(
        _ denial: Denial, id: UInt32, to output: ByteBuffer, maximumFrameBytes: Int
    ) throws(ProtocolError) {
        let reason = self.reason.bytes
        var verdict = VerdictWriter(
            deny: id, status: denial.status, reason: reason.span, to: output, maximumFrameBytes: maximumFrameBytes)
        if let userID = principal?.userID { verdict.subject(userID.span) }
        verdict.setResponseHeader(contentType.span, json.span)
        if let value = denial.challenge { verdict.setResponseHeader(challenge.span, value.span) }
        if let seconds = denial.retryAfterSeconds { verdict.setResponseHeader(retryAfter.span, decimal: seconds) }
        if let status = self.limit { verdict.setLimit(status) }
        verdict.body(denial.body.span)
        try verdict.finish()
    }
}

extension VerdictTemplate {
    /// What all allows of a counted request of `principal` have in common.
    init(allowing principal: Principal, under rules: PolicyRules) throws(ProtocolError) {
        let reason = Reason.allowed.bytes
        try self.init(allowFor: reason.span) { verdict in
            verdict.setIdentity(principal)
            verdict.setResponseHeader(limit.span, decimal: rules.limit)
        }
    }
}

extension VerdictWriter {
    fileprivate mutating func setIdentity(_ principal: Principal) {
        let userID = principal.userID
        subject(userID.span)
        for header in principal.identityHeaders { setRequestHeader(header.name.span, header.value.span) }
        removeRequestHeader(authorization.span)
    }

    fileprivate mutating func setLimit(_ status: LimitStatus) {
        setResponseHeader(limit.span, decimal: status.limit)
        setRemaining(status)
    }

    fileprivate mutating func setRemaining(_ status: LimitStatus) {
        setResponseHeader(limitRemaining.span, decimal: status.remaining)
        setResponseHeader(limitReset.span, decimal: Int(status.resetUnixSeconds))
    }
}
