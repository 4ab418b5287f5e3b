/// A key as one worker uses it: what it needs for an algorithm is set up at the first token signed by that.
final class KeyInUse {
    let key: VerificationKey
    let issuerIndex: Int
    /// A few at most: to look at each is quicker than to hash.
    private let admitted: [SignatureAlgorithm]
    private var checks: [(algorithm: SignatureAlgorithm, check: SignatureCheck)] = []

    private enum SignatureCheck {
        case hmac(HMACContext)
        case publicKey(OpenSSLSignature)
    }

    init(_ key: VerificationKey, issuerIndex: Int) {
        self.key = key
        self.issuerIndex = issuerIndex
        admitted = Array(key.algorithms)
    }

    func admits(_ algorithm: SignatureAlgorithm) -> Bool { admitted.contains(algorithm) }

    /// Whether `signature` is this key's over `message`. Nothing is computed for one of the wrong length: OpenSSL takes an RSA-PSS one
    /// without its leading zeros.
    func holds(_ signature: Span<UInt8>, over message: Span<UInt8>, _ algorithm: SignatureAlgorithm) -> Bool {
        guard admits(algorithm), signature.count == key.signatureBytes(algorithm) else { return false }
        switch check(algorithm) {
        case .hmac(let context): return context.holds(signature, over: message)
        case .publicKey(let context): return context.holds(signature, over: message)
        case nil: return false
        }
    }

    private func check(_ algorithm: SignatureAlgorithm) -> SignatureCheck? {
        if let known = checks.first(where: { $0.algorithm == algorithm }) { return known.check }
        let made: SignatureCheck? =
            switch key.material {
            case .secret(let secret): algorithm.digest.map { .hmac(HMACContext(secret, $0)) }
            case .publicKey(let key, _): OpenSSLSignature(key, algorithm).map { .publicKey($0) }
            }
        if let made { checks.append((algorithm, made)) }
        return made
    }
}
