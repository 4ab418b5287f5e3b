/// One key to verify with, parsed once. Immutable, and shared by all workers.
///
/// The algorithm is bound to the key (RFC 8725 §3.1): a key admits those of its type and curve, and of these only its `alg`
/// where it has one.
public final class VerificationKey: Sendable {
    /// The `kid` that tokens name it by.
    public let id: String?
    public let algorithms: Set<SignatureAlgorithm>
    let material: Material

    enum Material: Sendable {
        case secret([UInt8])
        /// Where every signature of the key has the same length: all but HMAC's.
        case publicKey(OpenSSLKey, signatureBytes: Int)
    }

    init(_ material: Material, id: String?, algorithms: Set<SignatureAlgorithm>) {
        self.material = material
        self.id = id
        self.algorithms = algorithms
    }

    /// A secret shared with whoever signs: HS256, HS384 and HS512.
    public convenience init(secret: [UInt8], id: String? = nil) throws(UnusableKey) {
        guard !secret.isEmpty else { throw UnusableKey("an empty secret", accepted: "one byte or more, 32 or better 64") }
        self.init(.secret(secret), id: id, algorithms: SignatureAlgorithm.hmac)
    }

    convenience init(_ parts: KeyParts, id: String?) throws(UnusableKey) {
        let key = try OpenSSLKey(parts)
        self.init(.publicKey(key, signatureBytes: parts.signatureBytes), id: id, algorithms: parts.algorithms)
    }

    /// The same key, admitting no other algorithm than these; perhaps none.
    func narrowed(to wanted: Set<SignatureAlgorithm>) -> VerificationKey {
        VerificationKey(material, id: id, algorithms: algorithms.intersection(wanted))
    }

    /// What its owner should know, though it is used: an HMAC key shorter than its hash (RFC 7518 §3.2).
    public var warning: String? {
        guard case .secret(let secret) = material else { return nil }
        let short = algorithms.filter { secret.count < $0.digest?.byteCount ?? 0 }
        guard !short.isEmpty else { return nil }
        return "an HMAC key of \(secret.count) bytes is shorter than the hash of \(SignatureAlgorithm.names(short)) (RFC 7518 §3.2)"
    }

    /// The length of every signature of this key by this algorithm.
    func signatureBytes(_ algorithm: SignatureAlgorithm) -> Int {
        switch material {
        case .secret: algorithm.digest?.byteCount ?? 0
        case .publicKey(_, let signatureBytes): signatureBytes
        }
    }
}
