import JSON

/// A key that signs: a secret, or the private half of a pair.
public final class PrivateKey: Sendable {
    public let id: String?
    public let algorithms: Set<SignatureAlgorithm>
    private let material: Material

    private enum Material: Sendable {
        case secret([UInt8])
        case pair(OpenSSLKey)
    }

    /// A shared secret.
    public init(secret: [UInt8]) throws(UnusableKey) {
        let key = try VerificationKey(secret: secret)
        (id, algorithms, material) = (nil, key.algorithms, .secret(secret))
    }

    /// A private JWK, or a private key as PEM.
    public init(_ bytes: [UInt8]) throws(UnusableKey) {
        let key: VerificationKey
        if let object = try? JSONValue.parse(bytes.span).object {
            let json = try JSONWebKey(object)
            key = try json.verificationKey()
            material =
                if case .secret(let secret) = key.material { .secret(secret) } else { .pair(try OpenSSLKey(try json.privateParts())) }
        } else {
            key = try OpenSSLPEM.verificationKey(bytes)
            material = .pair(try OpenSSLPEM.read(bytes))
        }
        (id, algorithms) = (key.id, key.algorithms)
    }

    /// - Returns: nil where OpenSSL makes no signature, for one because the key has no private half.
    fileprivate func sign(_ message: Span<UInt8>, _ algorithm: SignatureAlgorithm) -> [UInt8]? {
        switch material {
        case .secret(let secret): return algorithm.digest.map { HMACContext(secret, $0).authenticate(message) }
        case .pair(let key):
            guard let signature = OpenSSLSignature(key, algorithm, .sign)?.sign(message) else { return nil }
            guard algorithm.family == .ecdsa else { return signature }
            let curve = EllipticCurve.allCases.first { $0.algorithm == algorithm }
            return curve.flatMap { ECDSASignature.raw(signature, halfBytes: $0.coordinateBytes) }
        }
    }
}

/// Signs tokens, for `gatehouse token` and for tests.
public enum TokenSigner {
    /// A compact JWT of `claims`.
    ///
    /// - Parameter algorithm: one that the key admits; the first of these if nil.
    public static func sign(
        _ claims: JSONObject, with key: PrivateKey, _ algorithm: SignatureAlgorithm? = nil
    ) throws(UnusableKey) -> String {
        guard let algorithm = algorithm ?? SignatureAlgorithm.allCases.first(where: key.algorithms.contains),
            key.algorithms.contains(algorithm)
        else { throw UnusableKey("a key that does not sign so", accepted: SignatureAlgorithm.names(key.algorithms)) }
        var header: [(name: String, value: JSONValue)] = [("alg", .string(algorithm.rawValue)), ("typ", .string("JWT"))]
        if let id = key.id { header.append(("kid", .string(id))) }
        return try sign(
            header: JSONValue.object(JSONObject(header)).serialized, payload: JSONValue.object(claims).serialized, with: key, algorithm)
    }

    /// A compact JWS of exactly these texts, signed so whatever the header says.
    static func sign(
        header: [UInt8], payload: [UInt8], with key: PrivateKey, _ algorithm: SignatureAlgorithm
    ) throws(UnusableKey) -> String {
        let signed = Base64URL.encode(header) + "." + Base64URL.encode(payload)
        let bytes = Array(signed.utf8)
        guard let signature = key.sign(bytes.span, algorithm) else { throw UnusableKey("a key without a private half that fits") }
        return signed + "." + Base64URL.encode(signature)
    }
}
