import Bytes

/// A VERDICT's payload, read and judged: every range lies in the payload, every operation is one a verdict may carry out.
public struct VerdictMessage: Sendable, Equatable {
    /// What a verdict decides. Every other byte is malformed, and so denies.
    public enum Decision: UInt8, Sendable {
        case allow = 1
        case deny = 2
    }

    public private(set) var decision = Decision.deny
    public private(set) var reason = FieldRange.empty
    /// For the log; any bytes, up to 1,024.
    public private(set) var subject: FieldRange?
    /// The status of a denial's answer; `nil` in an allow.
    public private(set) var status: UInt16?
    /// The content of a denial's answer; empty in an allow.
    public private(set) var body = FieldRange.empty
    /// What takes the place of the query of an allowed request's target; nil where that stays as it is.
    public private(set) var query: FieldRange?
    public private(set) var requestOperations = HeaderOperations(.request)
    public private(set) var responseOperations = HeaderOperations(.response)
    public private(set) var operationCount = 0

    /// Reads a VERDICT.
    ///
    /// - Parameter payload: the payload of a frame whose type is ``FrameType/verdict``.
    /// - Throws: any `field…` error. The request that the frame's id stands for must be denied.
    public static func parse(_ payload: Span<UInt8>) throws(ProtocolError) -> VerdictMessage {
        var message = VerdictMessage()
        var seen = SeenFields()
        var position = 0
        while position < payload.count {
            guard let field = Field.at(position, in: payload) else { throw truncatedField(at: position, in: "VERDICT") }
            position = field.end
            switch field.tag {
            case VerdictTag.requestOperation:
                let operation = try message.readOperation(field, in: payload)
                message.requestOperations.note(operation, field, in: payload)
            case VerdictTag.responseOperation:
                let operation = try message.readOperation(field, in: payload)
                message.responseOperations.note(operation, field, in: payload)
            default:
                try message.read(field, in: payload, &seen)
            }
        }
        try seen.require(VerdictTag.decision, "decision")
        try seen.require(VerdictTag.reason, "reason")
        try message.judgeAgreement(seen)
        return message
    }

    /// The next operation on one side, from the payload that this message was parsed from. They apply in their order.
    ///
    /// - Parameter position: 0 to begin with; moved past the operation returned.
    /// - Returns: `nil` after the last.
    public static func nextOperation(
        on side: OperationSide, in payload: Span<UInt8>, from position: inout Int
    ) -> HeaderOperation? {
        HeaderOperation.next(VerdictTag.operation(on: side), in: payload, from: &position, to: payload.count)
    }

    private mutating func readOperation(_ field: Field, in payload: Span<UInt8>) throws(ProtocolError) -> HeaderOperation {
        operationCount += 1
        guard operationCount <= ProtocolLimits.operationsPerVerdict else {
            throw ProtocolError(
                .fieldMalformed, "more than \(ProtocolLimits.operationsPerVerdict) operations in a VERDICT")
        }
        guard let operation = HeaderOperation(field, in: payload) else {
            throw ProtocolError(
                .fieldMalformed, "an operation that is neither set (1) nor remove (2), or shorter than its name")
        }
        if !operation.isPlain(in: payload) { try operation.judge(in: payload) }
        return operation
    }

    private mutating func read(
        _ field: Field, in payload: Span<UInt8>, _ seen: inout SeenFields
    ) throws(ProtocolError) {
        switch field.tag {
        case VerdictTag.decision:
            try seen.note(field.tag, "decision")
            guard field.count == 1, let decision = Decision(rawValue: payload[field.offset]) else {
                throw ProtocolError(.fieldMalformed, "a decision that is neither allow (1) nor deny (2)")
            }
            self.decision = decision
        case VerdictTag.reason:
            try seen.note(field.tag, "reason")
            guard FieldRules.isReason(field.value(in: payload)) else {
                throw ProtocolError(
                    .fieldMalformed, "a reason that is not 1 to 64 lower-case letters, digits and hyphens")
            }
            reason = field.range
        case VerdictTag.subject:
            try seen.note(field.tag, "subject")
            guard field.count <= ProtocolLimits.subjectBytes else { throw field.wrongSize("subject", "0 to 1024") }
            subject = field.range
        case VerdictTag.status:
            try seen.note(field.tag, "status")
            let status = try field.uint16(in: payload, "status")
            guard status >= 300, status <= 599, status != 304 else {
                throw ProtocolError(.fieldMalformed, "a denial with status \(status), accepted: 300 to 599 except 304")
            }
            self.status = status
        case VerdictTag.body:
            try seen.note(field.tag, "body")
            body = field.range
        case VerdictTag.query:
            try seen.note(field.tag, "query")
            guard FieldRules.isQuery(field.value(in: payload)) else {
                throw ProtocolError(.fieldMalformed, "a query that is not visible ASCII without a #")
            }
            query = field.range
        default:
            try skipUnknown(field.tag, in: "VERDICT")
        }
    }

    /// Refuses a verdict whose parts contradict each other: one half of its sender must be wrong about the decision.
    private func judgeAgreement(_ seen: SeenFields) throws(ProtocolError) {
        switch decision {
        case .allow:
            guard status == nil, !seen.has(VerdictTag.body) else {
                throw ProtocolError(.fieldMalformed, "an allow with a status or a body, which belong to a denial")
            }
        case .deny:
            try seen.require(VerdictTag.status, "status")
            guard requestOperations.isEmpty, query == nil else {
                throw ProtocolError(.fieldMalformed, "a denial with request operations or a query, which belong to an allow")
            }
        }
    }
}
