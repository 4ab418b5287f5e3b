/// How a token is signed (RFC 7518 §3.1, RFC 8037 §3.1); the raw value is its name in a header's `alg`. `none` does not exist.
public enum SignatureAlgorithm: String, CaseIterable, Sendable {
    case hs256 = "HS256"
    case hs384 = "HS384"
    case hs512 = "HS512"
    case rs256 = "RS256"
    case rs384 = "RS384"
    case rs512 = "RS512"
    case ps256 = "PS256"
    case ps384 = "PS384"
    case ps512 = "PS512"
    case es256 = "ES256"
    case es384 = "ES384"
    case es512 = "ES512"
    /// Ed25519 or Ed448, as the key says.
    case eddsa = "EdDSA"

    enum Family { case hmac, pkcs1, pss, ecdsa, edwards }

    var family: Family {
        switch self {
        case .hs256, .hs384, .hs512: .hmac
        case .rs256, .rs384, .rs512: .pkcs1
        case .ps256, .ps384, .ps512: .pss
        case .es256, .es384, .es512: .ecdsa
        case .eddsa: .edwards
        }
    }

    /// What is signed instead of the message; nil for EdDSA, which hashes within.
    var digest: Digest? {
        switch self {
        case .hs256, .rs256, .ps256, .es256: .sha256
        case .hs384, .rs384, .ps384, .es384: .sha384
        case .hs512, .rs512, .ps512, .es512: .sha512
        case .eddsa: nil
        }
    }

    static let hmac: Set<SignatureAlgorithm> = [.hs256, .hs384, .hs512]
    static let pss: Set<SignatureAlgorithm> = [.ps256, .ps384, .ps512]
    static let rsa: Set<SignatureAlgorithm> = pss.union([.rs256, .rs384, .rs512])

    /// The names in the order in which the RFC has them, for messages.
    public static func names(_ algorithms: Set<SignatureAlgorithm>) -> String {
        allCases.filter(algorithms.contains).map(\.rawValue).joined(separator: ", ")
    }
}

/// The SHA-2 functions of JWA; the raw value is OpenSSL's name.
enum Digest: String, CaseIterable {
    case sha256 = "SHA256"
    case sha384 = "SHA384"
    case sha512 = "SHA512"

    static let longestBytes = 64

    var byteCount: Int {
        switch self {
        case .sha256: 32
        case .sha384: 48
        case .sha512: 64
        }
    }
}

/// The curves of ECDSA (RFC 7518 §6.2.1.1). Each belongs to one algorithm.
enum EllipticCurve: String, CaseIterable {
    case p256 = "P-256"
    case p384 = "P-384"
    case p521 = "P-521"

    var algorithm: SignatureAlgorithm {
        switch self {
        case .p256: .es256
        case .p384: .es384
        case .p521: .es512
        }
    }

    /// The length of a coordinate, and of each half of a signature.
    var coordinateBytes: Int {
        switch self {
        case .p256: 32
        case .p384: 48
        case .p521: 66
        }
    }

    var opensslName: String {
        switch self {
        case .p256: "prime256v1"
        case .p384: "secp384r1"
        case .p521: "secp521r1"
        }
    }
}

/// The curves of EdDSA (RFC 8037 §2); the raw value is OpenSSL's name as well.
enum EdwardsCurve: String, CaseIterable {
    case ed25519 = "Ed25519"
    case ed448 = "Ed448"

    /// The length of a key's public and of its private half.
    var keyBytes: Int {
        switch self {
        case .ed25519: 32
        case .ed448: 57
        }
    }

    var signatureBytes: Int { keyBytes * 2 }
}
