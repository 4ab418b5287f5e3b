/// Why a token is refused.
public enum TokenRefusal: Error, Equatable, Sendable {
    /// No compact JWS, no base64url, no JSON object, a header parameter or claim of the wrong type, or too large.
    case malformed
    /// No key for the token admits the algorithm that its header names (RFC 8725 §3.1); `none` among them.
    case algorithmNotAllowed
    /// The header demands an extension (`crit`, `b64` of RFC 7797, `zip`); none is understood here.
    case extensionUnknown
    case signatureInvalid
    /// The token names a key that none of these issuers has: it may be new there.
    case keyUnknown(issuerIndices: [Int])
    /// The keys that the token would be checked with have not been had yet.
    case keysUnavailable(issuerIndex: Int)
    /// Its `iss` is none that is trusted.
    case issuerUnknown
    case typeWrong
    case expired
    case notYetValid
    /// Older than tokens may become, by its `iat`.
    case tooOld
    case audienceWrong
    /// A claim that is required is not there, or null.
    case claimMissing

    /// The text is stable: `gatehouse verify` prints it.
    public var text: String {
        switch self {
        case .malformed: "malformed"
        case .algorithmNotAllowed: "algorithm-not-allowed"
        case .extensionUnknown: "extension-unknown"
        case .signatureInvalid: "signature-invalid"
        case .keyUnknown: "key-unknown"
        case .keysUnavailable: "keys-unavailable"
        case .issuerUnknown: "issuer-unknown"
        case .typeWrong: "type-wrong"
        case .expired: "expired"
        case .notYetValid: "not-yet-valid"
        case .tooOld: "too-old"
        case .audienceWrong: "audience-wrong"
        case .claimMissing: "claim-missing"
        }
    }
}
