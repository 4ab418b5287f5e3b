/// Why a request was allowed or denied. The texts are stable: verdicts, logs and metrics carry them.
public enum Reason: UInt8, Sendable, CaseIterable {
    case allowed
    /// The shared store was lost, and this process counted by itself.
    case allowedCountedLocally
    /// The shared store was lost, and the operator chose to let requests through uncounted.
    case allowedUncounted
    /// A browser's question before the request itself.
    case allowedPreflight

    case ruleMissing
    case authorizationRepeated
    case tokenMissing
    case tokenMalformed
    case tokenAlgorithmNotAllowed
    case tokenExtensionUnknown
    case tokenSignatureInvalid
    case tokenKeyUnknown
    case tokenIssuerUnknown
    /// A good token, of an issuer whose tokens the rule doesn't take.
    case tokenIssuerNotAccepted
    case tokenTypeWrong
    case tokenAudienceWrong
    case tokenNotYetValid
    case tokenExpired
    case tokenTooOld
    case tokenClaimMissing
    /// The signature holds, but a claim is missing, of the wrong type, or such that no header may carry it.
    case tokenClaimsUnfit
    case tokenRevoked
    case apiKeyUnknown
    /// Too many credentials from this address were refused.
    case authenticationFailuresExceeded
    /// The keys that the token would be verified with are not there.
    case keysUnavailable
    /// Whether the token is revoked can't be asked.
    case revocationUnavailable

    /// A condition of the rule doesn't hold; most have a text of their own.
    case conditionFailed
    /// A condition asks for a client's certificate, and there is none.
    case certificateMissing
    /// A condition on the certificate doesn't hold; most have a text of their own.
    case certificateUnfit
    /// A limit lets nothing through for this subject.
    case subjectDenied

    case limitExceeded
    case limitExceededCountedLocally
    /// The shared store was lost, and the operator chose to deny then.
    case storeUnavailable
    /// What a limit counts by can't be a key: a claim that is a list, say.
    case limitKeyUnfit
    /// A header that the rule sets would have a value that none may have.
    case headerUnfit

    case checkMalformed
    case verdictTooLarge
    case internalFailure

    /// Lower-case letters and hyphens, as in `token-expired`.
    public var text: StaticString {
        switch self {
        case .allowed: "allowed"
        case .allowedCountedLocally: "allowed-counted-locally"
        case .allowedUncounted: "allowed-uncounted"
        case .allowedPreflight: "allowed-preflight"
        case .ruleMissing: "rule-missing"
        case .authorizationRepeated: "authorization-repeated"
        case .tokenMissing: "token-missing"
        case .tokenMalformed: "token-malformed"
        case .tokenAlgorithmNotAllowed: "token-algorithm-not-allowed"
        case .tokenExtensionUnknown: "token-extension-unknown"
        case .tokenSignatureInvalid: "token-signature-invalid"
        case .tokenKeyUnknown: "token-key-unknown"
        case .tokenIssuerUnknown: "token-issuer-unknown"
        case .tokenIssuerNotAccepted: "token-issuer-not-accepted"
        case .tokenTypeWrong: "token-type-wrong"
        case .tokenAudienceWrong: "token-audience-wrong"
        case .tokenNotYetValid: "token-not-yet-valid"
        case .tokenExpired: "token-expired"
        case .tokenTooOld: "token-too-old"
        case .tokenClaimMissing: "token-claim-missing"
        case .tokenClaimsUnfit: "token-claims-unfit"
        case .tokenRevoked: "token-revoked"
        case .apiKeyUnknown: "api-key-unknown"
        case .authenticationFailuresExceeded: "authentication-failures-exceeded"
        case .keysUnavailable: "keys-unavailable"
        case .revocationUnavailable: "revocation-unavailable"
        case .conditionFailed: "condition-failed"
        case .certificateMissing: "certificate-missing"
        case .certificateUnfit: "certificate-unfit"
        case .subjectDenied: "subject-denied"
        case .limitExceeded: "limit-exceeded"
        case .limitExceededCountedLocally: "limit-exceeded-counted-locally"
        case .storeUnavailable: "store-unavailable"
        case .limitKeyUnfit: "limit-key-unfit"
        case .headerUnfit: "header-unfit"
        case .checkMalformed: "check-malformed"
        case .verdictTooLarge: "verdict-too-large"
        case .internalFailure: "internal-failure"
        }
    }

    /// ``text`` as bytes, made once.
    public var bytes: [UInt8] { Self.table[Int(rawValue)] }

    private static let table: [[UInt8]] = allCases.map { $0.text.withUTF8Buffer { unsafe Array($0) } }
}

extension Reason {
    /// What kind of denial it is.
    var denialKind: DenialKind {
        switch self {
        case .authorizationRepeated, .limitKeyUnfit, .headerUnfit, .checkMalformed: .malformed
        case .tokenMissing, .tokenMalformed, .tokenAlgorithmNotAllowed, .tokenExtensionUnknown, .tokenSignatureInvalid,
            .tokenKeyUnknown, .tokenIssuerUnknown, .tokenIssuerNotAccepted, .tokenTypeWrong, .tokenAudienceWrong, .tokenNotYetValid,
            .tokenExpired, .tokenTooOld, .tokenClaimMissing, .tokenClaimsUnfit, .tokenRevoked, .apiKeyUnknown:
            .unauthorized
        case .ruleMissing, .conditionFailed, .certificateMissing, .certificateUnfit, .subjectDenied: .forbidden
        case .authenticationFailuresExceeded, .limitExceeded, .limitExceededCountedLocally: .limited
        case .keysUnavailable, .revocationUnavailable, .storeUnavailable: .unavailable
        case .verdictTooLarge, .internalFailure, .allowed, .allowedCountedLocally, .allowedUncounted, .allowedPreflight: .failed
        }
    }

    /// What the client is told.
    var message: StaticString {
        switch self {
        case .authorizationRepeated: "More than one Authorization field. Send exactly one."
        case .tokenMissing: "No token provided. Include Authorization: Bearer <token> in your request."
        case .tokenExpired: "Token has expired. Please re-authenticate."
        case .tokenTooOld: "Token is too old. Please re-authenticate."
        case .tokenRevoked: "Token has been revoked. Please re-authenticate."
        case .apiKeyUnknown: "Unknown API key. Authentication failed."
        case .ruleMissing: "No rule admits this request."
        case .certificateMissing: "A client certificate is needed for this."
        case .conditionFailed, .certificateUnfit: "You are not allowed to do this."
        case .subjectDenied: "You are not allowed to use this service."
        case .authenticationFailuresExceeded: "Too many failed attempts to authenticate. Please try again later."
        case .limitExceeded, .limitExceededCountedLocally: "Rate limit exceeded."
        case .storeUnavailable: "The rate limit cannot be checked at the moment."
        case .keysUnavailable: "Tokens cannot be verified at the moment."
        case .revocationUnavailable: "Whether the token is still good cannot be checked at the moment."
        case .limitKeyUnfit, .headerUnfit, .checkMalformed: "The request cannot be judged as it is."
        case .verdictTooLarge, .internalFailure, .allowed, .allowedCountedLocally, .allowedUncounted, .allowedPreflight:
            "The request could not be judged."
        default: "Invalid token. Authentication failed."
        }
    }
}
