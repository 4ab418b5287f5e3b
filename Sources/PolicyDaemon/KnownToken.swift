import Bytes
import Policy
import PolicyProtocol

/// A token that was verified, with all that is needed to answer requests with it.
final class KnownToken {
    let token: [UInt8]
    let principal: Principal
    /// Unix seconds; the token is good before this moment only.
    let expiresAt: Double
    /// The allow for its user, but for what changes from request to request.
    let allow: VerdictTemplate

    /// - Returns: nil where the user's headers are more than any frame holds.
    init?(_ token: Span<UInt8>, _ principal: Principal, expiresAt: Double, rules: PolicyRules) {
        guard let allow = try? VerdictTemplate(allowing: principal, under: rules) else { return nil }
        self.token = token.array
        self.principal = principal
        self.expiresAt = expiresAt
        self.allow = allow
    }
}
