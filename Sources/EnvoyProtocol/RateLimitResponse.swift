import Bytes

/// What is known of the limit that a descriptor matched, this request counted.
public struct LimitFinding: Sendable {
    public let name: String
    public let isOver: Bool
    /// Requests a window.
    public let limit: Int
    public let windowSeconds: Int
    public let remaining: Int
    public let resetUnixSeconds: Int64
    /// After how many seconds a request could succeed, where this one is over the limit.
    public let retryAfterSeconds: Int

    public init(
        name: String, isOver: Bool, limit: Int, windowSeconds: Int, remaining: Int, resetUnixSeconds: Int64, retryAfterSeconds: Int
    ) {
        self.name = name
        self.isOver = isOver
        self.limit = limit
        self.windowSeconds = windowSeconds
        self.remaining = remaining
        self.resetUnixSeconds = resetUnixSeconds
        self.retryAfterSeconds = retryAfterSeconds
    }
}

/// `envoy.service.ratelimit.v3.RateLimitResponse`.
public struct RateLimitResponse {
    /// One for each descriptor, in their order; nil for one that no limit applies to.
    public let findings: [LimitFinding?]
    /// The one that the client is told of in headers: the limit that is closest to exhaustion.
    public let closest: LimitFinding?

    public init(_ findings: [LimitFinding?], closest: LimitFinding?) {
        self.findings = findings
        self.closest = closest
    }

    /// The fields of the message, by the names that they have in Envoy's `rls.proto`.
    private enum ResponseField {
        static let overallCode: UInt8 = 1, statuses: UInt8 = 2, responseHeadersToAdd: UInt8 = 3
    }

    /// Of a `DescriptorStatus`.
    private enum StatusField {
        static let code: UInt8 = 1, currentLimit: UInt8 = 2, limitRemaining: UInt8 = 3, durationUntilReset: UInt8 = 4
    }

    /// Of a `RateLimit`.
    private enum LimitField {
        static let requestsPerUnit: UInt8 = 1, unit: UInt8 = 2, name: UInt8 = 3
    }

    /// Writes the message, with the `x-ratelimit-` headers of the closest limit.
    public func write(to output: ByteBuffer, nowUnixSeconds: Int64) {
        let isOver = findings.contains { $0?.isOver == true }
        output.append(field: ResponseField.overallCode, varint: Self.code(isOver: isOver))
        for finding in findings {
            output.append(field: ResponseField.statuses) { status in
                status.append(field: StatusField.code, varint: Self.code(isOver: finding?.isOver == true))
                if let finding { Self.write(finding, to: status, nowUnixSeconds) }
            }
        }
        guard let closest else { return }
        Self.header("x-ratelimit-limit", Int64(closest.limit), to: output)
        Self.header("x-ratelimit-remaining", Int64(closest.remaining), to: output)
        Self.header("x-ratelimit-reset", closest.resetUnixSeconds, to: output)
        if closest.isOver { Self.header("retry-after", Int64(max(closest.retryAfterSeconds, 1)), to: output) }
    }

    private static func code(isOver: Bool) -> UInt64 { isOver ? 2 : 1 }

    private static func write(_ finding: LimitFinding, to status: ByteBuffer, _ nowUnixSeconds: Int64) {
        let name = Array(finding.name.utf8)
        status.append(field: StatusField.currentLimit) { limit in
            limit.append(field: LimitField.requestsPerUnit, varint: UInt64(UInt32(clamping: finding.limit)))
            limit.append(field: LimitField.unit, varint: unit(ofSeconds: finding.windowSeconds))
            limit.append(field: LimitField.name, name.span)
        }
        status.append(field: StatusField.limitRemaining, varint: UInt64(UInt32(clamping: finding.remaining)))
        status.append(field: StatusField.durationUntilReset) { $0.append(field: 1, varint: UInt64(max(finding.resetUnixSeconds - nowUnixSeconds, 0))) }
    }

    /// The unit's number; 0, for an unknown one, where the window is none that the message has a word for.
    private static func unit(ofSeconds seconds: Int) -> UInt64 {
        switch seconds {
        case 1: 1
        case 60: 2
        case 3_600: 3
        case 86_400: 4
        case 2_592_000: 5
        case 31_536_000: 6
        case 604_800: 7
        default: 0
        }
    }

    private static func header(_ name: StaticString, _ number: Int64, to output: ByteBuffer) {
        output.append(field: ResponseField.responseHeadersToAdd) { header in
            header.append(field: 1, name)
            header.append(field: 2, Array("\(number)".utf8).span)
        }
    }
}
