/// Why a request was allowed or denied. The texts are stable: verdicts, logs and metrics carry them.
public enum Reason: UInt8, Sendable, CaseIterable {
    case allowed
    /// The shared store was lost, and this process counted by itself.
    case allowedCountedLocally
    /// The shared store was lost, and the operator chose to let requests through uncounted.
    case allowedUncounted

    case authorizationRepeated
    case tokenMissing
    case tokenMalformed
    case tokenAlgorithmNotAllowed
    case tokenExtensionUnknown
    case tokenSignatureInvalid
    case tokenNotYetValid
    case tokenExpired
    /// The signature holds, but a claim is missing, of the wrong type, or such that no header may carry it.
    case tokenClaimsUnfit

    case limitExceeded
    case limitExceededCountedLocally
    /// The shared store was lost, and the operator chose to deny then.
    case storeUnavailable

    case checkMalformed
    case verdictTooLarge
    case internalFailure

    /// Lower-case letters and hyphens, as in `token-expired`.
    public var text: StaticString {
        switch self {
        case .allowed: "allowed"
        case .allowedCountedLocally: "allowed-counted-locally"
        case .allowedUncounted: "allowed-uncounted"
        case .authorizationRepeated: "authorization-repeated"
        case .tokenMissing: "token-missing"
        case .tokenMalformed: "token-malformed"
        case .tokenAlgorithmNotAllowed: "token-algorithm-not-allowed"
        case .tokenExtensionUnknown: "token-extension-unknown"
        case .tokenSignatureInvalid: "token-signature-invalid"
        case .tokenNotYetValid: "token-not-yet-valid"
        case .tokenExpired: "token-expired"
        case .tokenClaimsUnfit: "token-claims-unfit"
        case .limitExceeded: "limit-exceeded"
        case .limitExceededCountedLocally: "limit-exceeded-counted-locally"
        case .storeUnavailable: "store-unavailable"
        case .checkMalformed: "check-malformed"
        case .verdictTooLarge: "verdict-too-large"
        case .internalFailure: "internal-failure"
        }
    }

    /// ``text`` as bytes, made once.
    public var bytes: [UInt8] { Self.table[Int(rawValue)] }

    private static let table: [[UInt8]] = allCases.map { $0.text.withUTF8Buffer { unsafe Array($0) } }
}
