import Bytes
import Policy
import PolicyProtocol

private let contentType = Array("content-type".utf8)
private let challenge = Array("www-authenticate".utf8)
private let retryAfter = Array("retry-after".utf8)
private let limit = Array("x-ratelimit-limit".utf8)
private let limitRemaining = Array("x-ratelimit-remaining".utf8)
private let limitReset = Array("x-ratelimit-reset".utf8)
private let limitPolicy = Array("ratelimit-policy".utf8)
private let limitStanding = Array("ratelimit".utf8)

extension ByteBuffer {
    /// Appends the VERDICT on the CHECK `id`; where it doesn't fit into what the asker accepts, a denial in its place.
    func append(
        verdictOn id: UInt32, _ decision: Policy.Decision, nowUnixMilliseconds now: Int64, maximumFrameBytes: Int
    ) {
        do throws(ProtocolError) {
            try decision.encode(id: id, nowUnixMilliseconds: now, to: self, maximumFrameBytes: maximumFrameBytes)
        } catch {
            // A denial of a few hundred bytes fits into the smallest frame size there is.
            try? PolicyRules.nothing.verdictTooLarge.encode(
                id: id, nowUnixMilliseconds: now, to: self, maximumFrameBytes: maximumFrameBytes)
        }
    }
}

extension Policy.Decision {
    /// Appends this decision as the VERDICT on the CHECK `id`.
    ///
    /// - Throws: `frameTooLarge`, with the buffer as it was.
    fileprivate func encode(
        id: UInt32, nowUnixMilliseconds now: Int64, to output: ByteBuffer, maximumFrameBytes: Int
    ) throws(ProtocolError) {
        if let denial {
            try encode(denial, id: id, now, to: output, maximumFrameBytes: maximumFrameBytes)
        } else {
            try encodeAllow(id: id, now, to: output, maximumFrameBytes: maximumFrameBytes)
        }
    }

    private func encodeAllow(id: UInt32, _ now: Int64, to output: ByteBuffer, maximumFrameBytes: Int) throws(ProtocolError) {
        let prepared = prepared
        if let prepared, reason == .allowed, let template = try prepared.template(known?.identity, limitFields) {
            var verdict = VerdictWriter(template, id: id, to: output, maximumFrameBytes: maximumFrameBytes)
            verdict.setChanges(changes)
            verdict.setLimitStandings(self, now, besides: prepared.toldLimits.count)
            return try verdict.finish()
        }
        let text = reasonText
        var verdict = VerdictWriter(allow: id, reason: text.span, to: output, maximumFrameBytes: maximumFrameBytes)
        if let prepared { verdict.setIdentity(prepared, known?.identity) }
        verdict.setChanges(changes)
        verdict.setLimitStandings(self, now)
        try verdict.finish()
    }

    private func encode(
        _ denial: Denial, id: UInt32, _ now: Int64, to output: ByteBuffer, maximumFrameBytes: Int
    ) throws(ProtocolError) {
        let (text, type, body) = (reasonText, denial.contentType, denial.body)
        var verdict = VerdictWriter(
            deny: id, status: denial.status, reason: text.span, to: output, maximumFrameBytes: maximumFrameBytes)
        if let subject = known?.identity.subject { verdict.subject(subject.span) }
        for change in changes.responseHeaders { verdict.changeResponse(change) }
        verdict.setResponseHeader(contentType.span, type.span)
        if let value = denial.challenge { verdict.setResponseHeader(challenge.span, value.span) }
        if let seconds = denial.retryAfterSeconds { verdict.setResponseHeader(retryAfter.span, decimal: seconds) }
        for change in denial.headers { verdict.changeResponse(change) }
        verdict.setLimitStandings(self, now)
        verdict.body(body.span)
        try verdict.finish()
    }
}

/// What an identity's allows under one rule have in common, as far as it has been written.
private final class WrittenAllow: Sendable {
    let template: VerdictTemplate?

    init(_ template: VerdictTemplate?) { self.template = template }

    /// After the first allow: nothing is written yet, since most tokens of some clients are used once.
    static let once = WrittenAllow(nil)
}

extension PreparedRule {
    /// What all allows of an identity have in common, but for the first one's.
    fileprivate func template(_ identity: Identity?, _ fields: LimitFields) throws(ProtocolError) -> VerdictTemplate? {
        guard let written = written as? WrittenAllow else {
            written = WrittenAllow.once
            return nil
        }
        if let template = written.template { return template }
        let reason = Reason.allowed.bytes
        let template = try VerdictTemplate(allowFor: reason.span) { verdict in
            verdict.setIdentity(self, identity)
            verdict.setLimitPolicies(toldLimits, fields)
        }
        self.written = WrittenAllow(template)
        return template
    }
}

extension VerdictWriter {
    fileprivate mutating func setIdentity(_ prepared: PreparedRule, _ identity: Identity?) {
        if let subject = identity?.subject { self.subject(subject.span) }
        for change in prepared.requestHeaders { changeRequest(change) }
        for change in prepared.responseHeaders { changeResponse(change) }
    }

    fileprivate mutating func changeRequest(_ change: HeaderChange) {
        if let value = change.value {
            setRequestHeader(change.name.span, value.span)
        } else {
            removeRequestHeader(change.name.span)
        }
    }

    fileprivate mutating func changeResponse(_ change: HeaderChange) {
        if let value = change.value {
            setResponseHeader(change.name.span, value.span)
        } else {
            removeResponseHeader(change.name.span)
        }
    }

    fileprivate mutating func setChanges(_ changes: RequestChanges) {
        if let query = changes.query { self.query(query.span) }
        for change in changes.requestHeaders { changeRequest(change) }
        for change in changes.responseHeaders { changeResponse(change) }
    }

    /// Tells of the limits what is the same for every request: all of it but what is left.
    fileprivate mutating func setLimitPolicies(_ limits: [Allowance], _ fields: LimitFields) {
        if fields.areUsual, limits.count == 1, case .quota(let quota) = limits[0].kind {
            setResponseHeader(limit.span, decimal: quota.burst)
        }
        if fields.areStandard, !limits.isEmpty {
            setList(limitPolicy, limits.map(\.policyItem))
        }
    }

    /// Tells how the request stands to its limits.
    ///
    /// - Parameter toldCount: how many limits have been told of already by ``setLimitPolicies(_:_:)``.
    fileprivate mutating func setLimitStandings(_ decision: Policy.Decision, _ now: Int64, besides toldCount: Int = 0) {
        guard let status = decision.closestStatus else { return }
        let fields = decision.limitFields
        if fields.areUsual {
            if toldCount != 1 { setResponseHeader(limit.span, decimal: status.limit) }
            setResponseHeader(limitRemaining.span, decimal: status.remaining)
            setResponseHeader(limitReset.span, decimal: Int(status.resetUnixSeconds))
        }
        guard fields.areStandard else { return }
        if toldCount == 0 { setList(limitPolicy, decision.standings.filter(\.isTold).map(\.hit.allowance.policyItem)) }
        setStandings(decision.standings, now)
    }

    /// Items of a list, with a comma between them (RFC 9651 §3.1).
    private mutating func setList(_ name: [UInt8], _ items: [[UInt8]]) {
        let byteCount = items.reduce(2 * (items.count - 1)) { $0 + $1.count }
        setResponseHeader(name.span, byteCount: byteCount) { buffer in
            for (index, item) in items.enumerated() {
                if index > 0 { buffer.append(", ") }
                buffer.append(item)
            }
        }
    }

    /// `RateLimit`: `"NAME";r=50;t=30` for each limit (draft-ietf-httpapi-ratelimit-headers-10 §4).
    private mutating func setStandings(_ standings: [Policy.Decision.Standing], _ now: Int64) {
        var byteCount = -2
        for index in standings.indices where standings[index].isTold {
            byteCount += standings[index].hit.allowance.standingItem.count + (standings[index].status?.remaining ?? 0).decimalCharacterCount
            byteCount += 5 + standings[index].resetSeconds(nowUnixMilliseconds: now).decimalCharacterCount
        }
        setResponseHeader(limitStanding.span, byteCount: byteCount) { buffer in
            var isFirst = true
            for index in standings.indices where standings[index].isTold {
                if !isFirst { buffer.append(", ") }
                isFirst = false
                buffer.append(standings[index].hit.allowance.standingItem)
                buffer.append(decimal: standings[index].status?.remaining ?? 0)
                buffer.append(";t=")
                buffer.append(decimal: standings[index].resetSeconds(nowUnixMilliseconds: now))
            }
        }
    }
}
