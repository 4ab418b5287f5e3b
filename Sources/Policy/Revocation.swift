/// Whether a token that holds was revoked.
public enum RevocationStatus: Sendable {
    case valid
    case revoked
    /// Nobody could be asked.
    case unavailable
}

/// Where it is written that tokens are revoked: keys of a store that hold a moment in Unix seconds.
public enum Revocation {
    /// The key that is there while the token of this `jti` is revoked.
    public static func key(ofTokenID id: [UInt8]) -> [UInt8] { Array("revoked:token:".utf8) + id }

    /// The key that says, while it is there, before which moment the revoked tokens of this subject were issued.
    public static func key(ofSubject subject: [UInt8]) -> [UInt8] { Array("revoked:subject:".utf8) + subject }
}

extension Identity {
    /// What has to be looked up to know whether the token is revoked: first what revokes its subject's tokens, then, where it has
    /// an id, what revokes it alone.
    public var revocationKeys: [[UInt8]] {
        guard isToken, let subject else { return [] }
        let ofSubject = Revocation.key(ofSubject: subject)
        guard let id = claims["jti"]?.string else { return [ofSubject] }
        return [ofSubject, Revocation.key(ofTokenID: Array(id.utf8))]
    }

    /// - Parameter moments: what stands under each of the ``revocationKeys``; nil where nothing does.
    public func isRevoked(_ moments: [Int64?]) -> Bool {
        if moments.count > 1, moments[1] != nil { return true }
        guard let before = moments.first ?? nil else { return false }
        // A token that doesn't say when it was issued may be as old as any.
        guard let issuedAt = claims["iat"]?.number?.double else { return true }
        return issuedAt < Double(before)
    }
}
