import Bytes
import Policy
import PolicyProtocol

/// A header of a client's answer that tells of its limits.
enum LimitHeader: Int, CaseIterable {
    case limit, remaining, reset, policy, standing

    var name: [UInt8] {
        switch self {
        case .limit: limitName
        case .remaining: remainingName
        case .reset: resetName
        case .policy: policyName
        case .standing: standingName
        }
    }
}

private let limitName = Array("x-ratelimit-limit".utf8)
private let remainingName = Array("x-ratelimit-remaining".utf8)
private let resetName = Array("x-ratelimit-reset".utf8)
private let policyName = Array("ratelimit-policy".utf8)
private let standingName = Array("ratelimit".utf8)

/// Who writes such headers, each at most once.
protocol LimitFieldWriter: ~Copyable {
    mutating func set(_ header: LimitHeader, decimal number: Int)
    /// - Parameter append: appends the value, which has `byteCount` bytes of visible ASCII and blanks.
    mutating func set(_ header: LimitHeader, byteCount: Int, _ append: (ByteBuffer) -> Void)
}

extension VerdictWriter: LimitFieldWriter {
    mutating func set(_ header: LimitHeader, decimal number: Int) { setResponseHeader(header.name.span, decimal: number) }

    mutating func set(_ header: LimitHeader, byteCount: Int, _ append: (ByteBuffer) -> Void) {
        setResponseHeader(header.name.span, byteCount: byteCount, append)
    }
}

extension LimitFields {
    /// Whether this is the name of a header that tells of limits.
    static func isName(_ name: Span<UInt8>) -> Bool {
        for header in LimitHeader.allCases where name.equals(header.name.span) { return true }
        return false
    }

    /// How many headers tell of limits at the most.
    static let mostHeaders = LimitHeader.allCases.count
}

extension PreparedRule {
    /// Tells of the limits what is the same for every request: all of it but what is left.
    func writeLimitPolicies(to writer: inout some LimitFieldWriter & ~Copyable, _ fields: LimitFields) {
        let limits = toldLimits
        if fields.sendsXRateLimit, limits.count == 1, case .quota(let quota) = limits[0].kind {
            writer.set(.limit, decimal: quota.burst)
        }
        if fields.sendsRateLimit, !limits.isEmpty { writer.setPolicies( limits.map(\.policyItem)) }
    }
}

extension Policy.Decision {
    /// Tells how the request stands to its limits.
    ///
    /// - Parameter toldCount: how many limits have been told of already by ``PreparedRule/writeLimitPolicies(to:_:)``.
    func writeStandings(to writer: inout some LimitFieldWriter & ~Copyable, _ now: Int64, besides toldCount: Int = 0) {
        guard let status = closestStatus else { return }
        if limitFields.sendsXRateLimit {
            if toldCount != 1 { writer.set(.limit, decimal: status.limit) }
            writer.set(.remaining, decimal: status.remaining)
            writer.set(.reset, decimal: Int(status.resetUnixSeconds))
        }
        guard limitFields.sendsRateLimit else { return }
        if toldCount == 0 { writer.setPolicies( standings.filter(\.isTold).map(\.hit.allowance.policyItem)) }
        writer.setStandings(standings, now)
    }
}

extension LimitFieldWriter where Self: ~Copyable {
    mutating func set(_ header: LimitHeader, decimal number: Int) {
        set(header, byteCount: number.decimalCharacterCount) { $0.append(decimal: number) }
    }

    /// `RateLimit-Policy`: items of a list, with a comma between them (RFC 9651 §3.1).
    fileprivate mutating func setPolicies(_ items: [[UInt8]]) {
        let byteCount = items.reduce(2 * (items.count - 1)) { $0 + $1.count }
        set(.policy, byteCount: byteCount) { buffer in
            for (index, item) in items.enumerated() {
                if index > 0 { buffer.append(", ") }
                buffer.append(item)
            }
        }
    }

    /// `RateLimit`: `"NAME";r=50;t=30` for each limit (draft-ietf-httpapi-ratelimit-headers-10 §4).
    fileprivate mutating func setStandings(_ standings: [Policy.Decision.Standing], _ now: Int64) {
        var byteCount = -2
        for index in standings.indices where standings[index].isTold {
            byteCount += standings[index].hit.allowance.standingItem.count + (standings[index].status?.remaining ?? 0).decimalCharacterCount
            byteCount += 5 + standings[index].resetSeconds(nowUnixMilliseconds: now).decimalCharacterCount
        }
        set(.standing, byteCount: byteCount) { buffer in
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
