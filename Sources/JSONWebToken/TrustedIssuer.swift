/// Whose tokens are accepted, with which keys, and what they must say. An immutable snapshot.
public final class TrustedIssuer: Sendable {
    /// The operator's name for it, for logs.
    public let name: String
    /// What `iss` must be, to the byte; nil takes any, and none.
    public let issuer: String?
    /// Nil while they have not been had.
    public let keys: KeySet?
    public let requirements: TokenRequirements

    public init(name: String, issuer: String? = nil, keys: KeySet?, requirements: TokenRequirements = TokenRequirements()) {
        self.name = name
        self.issuer = issuer
        self.keys = keys
        self.requirements = requirements
    }
}
