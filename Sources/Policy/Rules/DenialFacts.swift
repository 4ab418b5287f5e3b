import Bytes
import JSON

/// What is known of a denial when it is answered.
struct DenialFacts: Sendable {
    /// The stable reason.
    var reason: [UInt8]
    /// A sentence for people, as UTF-8.
    var message: [UInt8]
    /// When the request could succeed.
    var retryAfterSeconds: Int?
    /// When the window of the limit that denied it ends.
    var resetUnixSeconds: Int64?
    /// The names of the limits that denied it.
    var violatedPolicies: [[UInt8]]

    init(
        reason: [UInt8], message: [UInt8], retryAfterSeconds: Int? = nil, resetUnixSeconds: Int64? = nil,
        violatedPolicies: [[UInt8]] = []
    ) {
        self.reason = reason
        self.message = message
        self.retryAfterSeconds = retryAfterSeconds
        self.resetUnixSeconds = resetUnixSeconds
        self.violatedPolicies = violatedPolicies
    }
}

/// A fact as a variable of a template.
enum DenialVariable: String, CaseIterable, Sendable {
    case reason
    case message
    case retryAfter = "retry_after"
    case resetAt = "reset_at"
}

/// A fact as a member of a JSON object, its comma included; nothing where it isn't known.
enum DenialMember: Sendable {
    case resetAt
    case violatedPolicies
}

extension DenialFacts {
    func append(_ variable: DenialVariable, escaping: TextEscaping, to buffer: ByteBuffer) -> Rendering {
        switch variable {
        case .reason: escaping.append(reason.span, to: buffer)
        case .message: escaping.append(message.span, to: buffer)
        case .retryAfter:
            guard let retryAfterSeconds else { return .missing }
            buffer.append(decimal: retryAfterSeconds)
        case .resetAt:
            guard let resetUnixSeconds else { return .missing }
            append(moment: resetUnixSeconds, to: buffer)
        }
        return .value
    }

    func append(_ member: DenialMember, to buffer: ByteBuffer) {
        switch member {
        case .resetAt:
            guard let resetUnixSeconds else { return }
            buffer.append(#","resetAt":""#)
            append(moment: resetUnixSeconds, to: buffer)
            buffer.append(UInt8(ascii: "\""))
        case .violatedPolicies:
            guard !violatedPolicies.isEmpty else { return }
            buffer.append(#","violated-policies":["#)
            for (index, name) in violatedPolicies.enumerated() {
                if index > 0 { buffer.append(UInt8(ascii: ",")) }
                buffer.append(jsonString: name.span)
            }
            buffer.append(UInt8(ascii: "]"))
        }
    }

    private func append(moment: Int64, to buffer: ByteBuffer) {
        var text: [UInt8] = []
        text.reserveCapacity(24)
        appendTimestamp(unixSeconds: moment, to: &text)
        buffer.append(text)
    }
}
