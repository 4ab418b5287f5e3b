import Bytes
import Policy
import PolicyProtocol

/// An allow that says what earlier ones of the same identity said, but for how the request stands to its limits: what they have in
/// common is written once, in the words of each dialect that asks.
struct RepeatedAllow {
    /// In whose words. The endpoints of HTTP have words of their own.
    enum Language: Int { case nginx, forward, envoy, grpc, spop }

    private let decision: Policy.Decision
    private let prepared: PreparedRule
    private let written: WrittenAllow
    private let nowUnixMilliseconds: Int64

    /// - Returns: nil for the first allow of an identity under a rule, and where something is changed for the one request alone.
    init?(_ decision: Policy.Decision, nowUnixMilliseconds: Int64) {
        guard decision.reason == .allowed, decision.changes.isEmpty, let prepared = decision.prepared, let written = prepared.writtenBefore
        else { return nil }
        self.decision = decision
        self.prepared = prepared
        self.written = written
        self.nowUnixMilliseconds = nowUnixMilliseconds
    }

    /// What the allows have in common.
    ///
    /// - Parameter translate: writes it, which it is given as the payload of a VERDICT. It returns behind how many bytes of that the
    ///   limits are to be told; nil where the dialect has no words for it.
    /// - Returns: nil where this is to be written as any other verdict.
    func words(_ language: Language, _ translate: (Span<UInt8>, VerdictMessage, ByteBuffer) -> Int?) -> WrittenAllow.Words? {
        switch written.translations[language.rawValue] {
        case .written(let words): return words
        case .unfit: return nil
        case .unknown:
            let words = makeWords(translate)
            written.translations[language.rawValue] = words.map(WrittenAllow.Translation.written) ?? .unfit
            return words
        }
    }

    /// Tells how the request stands to its limits.
    func writeStandings(to writer: inout some LimitFieldWriter & ~Copyable) {
        decision.writeStandings(to: &writer, nowUnixMilliseconds, besides: prepared.toldLimitCount)
    }

    /// Judged as a VERDICT is, with room for all that telling of the limits can add to it.
    private func makeWords(_ translate: (Span<UInt8>, VerdictMessage, ByteBuffer) -> Int?) -> WrittenAllow.Words? {
        let frame = ByteBuffer(capacity: 1024)
        do throws(ProtocolError) {
            // The limits take less than what the largest frame has more than the smallest.
            try VerdictWriter(
                prepared.makeTemplate(for: decision), id: 0, to: frame, maximumFrameBytes: ProtocolLimits.frameBytes.lowerBound
            ).finish()
            let payload = frame.bytes.extracting(FrameHeader.byteCount..<frame.count)
            let message = try VerdictMessage.parse(payload)
            guard message.operationCount + LimitFields.mostHeaders <= ProtocolLimits.operationsPerVerdict, !changesLimitFields
            else { return nil }
            let buffer = ByteBuffer(capacity: 1024)
            return translate(payload, message, buffer).map { WrittenAllow.Words(text: buffer.bytes.array, limitsOffset: $0) }
        } catch {
            return nil
        }
    }

    /// Whether the rule makes something else of a header that tells of limits.
    private var changesLimitFields: Bool {
        (prepared.requestHeaders + prepared.responseHeaders).contains { LimitFields.isName($0.name.span) }
    }
}

/// What all allows of an identity under one rule have in common, as far as it has been written. Belongs to one worker.
final class WrittenAllow {
    /// In the words of a dialect.
    ///
    /// They say which headers are the policy's, so they may serve those sessions only that were greeted alike. They do: a rule belongs to
    /// one ``PolicyRules``, and a ``GreetedDecisionPoint`` lets a session judge by those alone whose ``Greeting`` equals its own.
    struct Words {
        let text: [UInt8]
        /// Where in the text the limits are to be told.
        let limitsOffset: Int
    }

    fileprivate enum Translation {
        case unknown
        case unfit
        case written(Words)
    }

    fileprivate var template: VerdictTemplate?
    /// By ``RepeatedAllow/Language``.
    fileprivate var translations = InlineArray<5, Translation>(repeating: .unknown)
}

/// Stands where nothing is written yet: most tokens of some clients are used once.
private final class AllowedOnce: Sendable {
    static let mark = AllowedOnce()
}

extension PreparedRule {
    /// What has been written; nil when this is asked for the first time.
    fileprivate var writtenBefore: WrittenAllow? {
        guard let written else {
            written = AllowedOnce.mark
            return nil
        }
        if let allow = written as? WrittenAllow { return allow }
        let allow = WrittenAllow()
        self.written = allow
        return allow
    }

    fileprivate func makeTemplate(for decision: Policy.Decision) throws(ProtocolError) -> VerdictTemplate {
        let reason = Reason.allowed.bytes
        return try VerdictTemplate(allowFor: reason.span) { verdict in
            verdict.setIdentity(self, decision.known?.identity)
            writeLimitPolicies(to: &verdict, decision.limitFields)
        }
    }
}

extension Policy.Decision {
    /// What this allow has in common with the identity's others, in our own protocol; nil for the first of them, and for a denial.
    func template() -> VerdictTemplate? {
        guard reason == .allowed, let prepared, let written = prepared.writtenBefore else { return nil }
        if let template = written.template { return template }
        written.template = try? prepared.makeTemplate(for: self)
        return written.template
    }
}
