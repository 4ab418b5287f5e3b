import Bytes
import Policy
import PolicyProtocol

private let contentType = Array("content-type".utf8)
private let challenge = Array("www-authenticate".utf8)
private let retryAfter = Array("retry-after".utf8)

extension ByteBuffer {
    /// Appends the VERDICT on the CHECK `id`; where it doesn't fit into what the asker accepts, a denial in its place.
    ///
    /// - Parameter template: what all allows of the identity have in common, where that has been written.
    func append(
        verdictOn id: UInt32, _ decision: Policy.Decision, _ template: VerdictTemplate? = nil, nowUnixMilliseconds now: Int64,
        maximumFrameBytes: Int
    ) {
        do throws(ProtocolError) {
            try decision.encode(id: id, template, nowUnixMilliseconds: now, to: self, maximumFrameBytes: maximumFrameBytes)
        } catch {
            // A denial of a few hundred bytes fits into the smallest frame size there is.
            try? PolicyRules.nothing.verdictTooLarge.encode(
                id: id, nil, nowUnixMilliseconds: now, to: self, maximumFrameBytes: maximumFrameBytes)
        }
    }
}

extension Policy.Decision {
    /// Appends this decision as the VERDICT on the CHECK `id`.
    ///
    /// - Throws: `frameTooLarge`, with the buffer as it was.
    fileprivate func encode(
        id: UInt32, _ template: VerdictTemplate?, nowUnixMilliseconds now: Int64, to output: ByteBuffer, maximumFrameBytes: Int
    ) throws(ProtocolError) {
        if let denial {
            try encode(denial, id: id, now, to: output, maximumFrameBytes: maximumFrameBytes)
        } else if let template, let prepared {
            var verdict = VerdictWriter(template, id: id, to: output, maximumFrameBytes: maximumFrameBytes)
            verdict.setChanges(changes)
            writeStandings(to: &verdict, now, besides: prepared.toldLimitCount)
            try verdict.finish()
        } else {
            try encodeAllow(id: id, now, to: output, maximumFrameBytes: maximumFrameBytes)
        }
    }

    private func encodeAllow(id: UInt32, _ now: Int64, to output: ByteBuffer, maximumFrameBytes: Int) throws(ProtocolError) {
        let text = reasonText
        var verdict = VerdictWriter(allow: id, reason: text.span, to: output, maximumFrameBytes: maximumFrameBytes)
        if let prepared { verdict.setIdentity(prepared, known?.identity) }
        verdict.setChanges(changes)
        writeStandings(to: &verdict, now)
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
        writeStandings(to: &verdict, now)
        verdict.body(body.span)
        try verdict.finish()
    }
}

extension VerdictWriter {
    mutating func setIdentity(_ prepared: PreparedRule, _ identity: Identity?) {
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
}
