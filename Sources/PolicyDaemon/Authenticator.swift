import JSONWebToken
import Policy

/// Says who a bearer token stands for. Belongs to one worker.
final class Authenticator {
    enum Outcome {
        case known(KnownToken)
        case refused(Reason)
    }

    private let verifier: TokenVerifier
    private let cache: TokenCache
    private let rules: PolicyRules

    /// - Parameter cacheCapacity: how many verified tokens are remembered, so that their next use costs a lookup.
    init(key: HMACKey, leewaySeconds: Int, cacheCapacity: Int, rules: PolicyRules) {
        verifier = TokenVerifier(key: key, leewaySeconds: leewaySeconds)
        cache = TokenCache(capacity: cacheCapacity)
        self.rules = rules
    }

    func authenticate(_ token: Span<UInt8>, nowUnixMilliseconds: Int64) -> Outcome {
        let now = Double(nowUnixMilliseconds) / 1000
        if let known = cache.knownToken(token, now: now) { return .known(known) }
        do throws(TokenRefusal) {
            let verified = try verifier.verify(token, now: now)
            guard let principal = Principal(claims: verified.claims),
                let known = KnownToken(token, principal, expiresAt: verified.expiresAt, rules: rules)
            else { return .refused(.tokenClaimsUnfit) }
            cache.store(known)
            return .known(known)
        } catch {
            return .refused(error.reason)
        }
    }
}

extension TokenRefusal {
    fileprivate var reason: Reason {
        switch self {
        case .malformed: .tokenMalformed
        case .algorithmNotAllowed: .tokenAlgorithmNotAllowed
        case .extensionUnknown: .tokenExtensionUnknown
        case .signatureInvalid: .tokenSignatureInvalid
        case .expired: .tokenExpired
        case .notYetValid: .tokenNotYetValid
        }
    }
}
