import Bytes
import JSON
import JSONWebToken
import KeySources
import Policy

/// Whose credentials are accepted, as all workers share it.
struct Authentication: Sendable {
    /// An issuer but for its keys, which stand in the keeper's source of the same place.
    struct Issuer: Sendable {
        let name: String
        let issuer: String?
        let algorithms: Set<SignatureAlgorithm>?
        let requirements: TokenRequirements
    }

    let issuers: [Issuer]
    let keeper: KeyKeeper
    let subjectClaims: [ClaimPath]
    /// Verified credentials remembered by each worker.
    let cacheCapacity: Int
}

extension Authentication {
    /// - Parameter keeper: of the sources of the configuration's issuers, in their order.
    init(_ configuration: DaemonConfiguration, keeper: KeyKeeper, cacheCapacity: Int) {
        self.init(
            issuers: configuration.issuers.map {
                Issuer(name: $0.name, issuer: $0.issuer, algorithms: $0.algorithms, requirements: $0.requirements)
            },
            keeper: keeper, subjectClaims: configuration.subjectClaims, cacheCapacity: cacheCapacity)
    }
}

/// Says who a credential stands for. Belongs to one worker.
final class Authenticator {
    private let authentication: Authentication
    private var verifier = TokenVerifier([])
    private var apiKeys: APIKeys?
    private var cache: CredentialCache
    /// Of which keys ``verifier`` and ``cache`` are.
    private var keyVersion: Int

    init(_ authentication: Authentication) {
        self.authentication = authentication
        cache = CredentialCache(capacity: authentication.cacheCapacity)
        keyVersion = authentication.keeper.version
        takeKeys()
    }

    /// Who a credential stands for that was found good before, and is good still.
    func recall(_ credential: Span<UInt8>, _ kind: CredentialKind, nowUnixMilliseconds: Int64) -> KnownIdentity? {
        _ = refresh()
        return cache.identity(of: credential, kind, nowUnixSeconds: Double(nowUnixMilliseconds) / 1000)
    }

    func authenticate(_ credential: Span<UInt8>, _ kind: CredentialKind, nowUnixMilliseconds: Int64) -> AuthenticationOutcome {
        _ = refresh()
        return kind == .token ? verify(credential, Double(nowUnixMilliseconds) / 1000) : find(credential)
    }

    /// Takes the keys that are there now. False where they are those of before.
    private func refresh() -> Bool {
        let version = authentication.keeper.version
        guard version != keyVersion else { return false }
        keyVersion = version
        // What was verified with a key that is gone must not outlive it.
        cache = CredentialCache(capacity: authentication.cacheCapacity)
        takeKeys()
        return true
    }

    private func takeKeys() {
        let keeper = authentication.keeper
        verifier = TokenVerifier(authentication.issuers.indices.map { index in
            let issuer = authentication.issuers[index]
            var keys = keeper.keys(index)
            if let algorithms = issuer.algorithms { keys = keys?.narrowed(to: algorithms) }
            return TrustedIssuer(name: issuer.name, issuer: issuer.issuer, keys: keys, requirements: issuer.requirements)
        })
        apiKeys = keeper.apiKeys
    }

    private func verify(_ token: Span<UInt8>, _ nowUnixSeconds: Double) -> AuthenticationOutcome {
        do throws(TokenRefusal) {
            let verified = try verifier.verify(token, nowUnixSeconds: nowUnixSeconds)
            guard let identity = Identity(
                claims: verified.claims, issuer: verified.issuerIndex, subjectClaims: authentication.subjectClaims)
            else { return .refused(.tokenClaimsUnfit) }
            let known = KnownIdentity(identity)
            cache.store(token, .token, known, expiresAtUnixSeconds: verified.expiresAtUnixSeconds)
            return .verified(known)
        } catch {
            guard case .keyUnknown(let issuers) = error else { return outcome(of: error) }
            return lookForKey(of: token, issuers, nowUnixSeconds)
        }
    }

    /// The issuer may have a new key: it is looked for, and until that has been done nobody can say.
    private func lookForKey(of token: Span<UInt8>, _ issuers: [Int], _ nowUnixSeconds: Double) -> AuthenticationOutcome {
        let keeper = authentication.keeper
        for index in issuers { keeper.requestRefresh(of: index) }
        if issuers.contains(where: keeper.isFetching) { return .keysUnavailable }
        // What was looked for a moment ago, by another worker's wish, may be there now.
        return refresh() ? verify(token, nowUnixSeconds) : .refused(.tokenKeyUnknown)
    }

    private func find(_ key: Span<UInt8>) -> AuthenticationOutcome {
        guard let apiKeys else { return .keysUnavailable }
        guard let found = apiKeys.find(key), let identity = Identity(apiKey: found.id, subject: found.subject, attributes: found.attributes)
        else { return .refused(.apiKeyUnknown) }
        let known = KnownIdentity(identity)
        cache.store(key, .apiKey, known, expiresAtUnixSeconds: .infinity)
        return .verified(known)
    }

    private func outcome(of refusal: TokenRefusal) -> AuthenticationOutcome {
        switch refusal {
        case .malformed: .refused(.tokenMalformed)
        case .algorithmNotAllowed: .refused(.tokenAlgorithmNotAllowed)
        case .extensionUnknown: .refused(.tokenExtensionUnknown)
        case .signatureInvalid: .refused(.tokenSignatureInvalid)
        case .expired: .refused(.tokenExpired)
        case .notYetValid: .refused(.tokenNotYetValid)
        case .issuerUnknown: .refused(.tokenIssuerUnknown)
        case .typeWrong: .refused(.tokenTypeWrong)
        case .tooOld: .refused(.tokenTooOld)
        case .audienceWrong: .refused(.tokenAudienceWrong)
        case .claimMissing: .refused(.tokenClaimMissing)
        case .keysUnavailable: .keysUnavailable
        case .keyUnknown: .refused(.tokenKeyUnknown)
        }
    }
}
