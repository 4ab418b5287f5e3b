import COpenSSL

/// The message digests, fetched once: to fetch one by its name costs more than to hash a token.
@safe struct OpenSSLDigest: @unchecked Sendable {
    let pointer: OpaquePointer

    private static let sha256 = OpenSSLDigest(.sha256)
    private static let sha384 = OpenSSLDigest(.sha384)
    private static let sha512 = OpenSSLDigest(.sha512)

    static func fetched(_ digest: Digest) -> OpenSSLDigest {
        switch digest {
        case .sha256: sha256
        case .sha384: sha384
        case .sha512: sha512
        }
    }

    /// Kept for as long as the process runs.
    private init(_ digest: Digest) {
        guard let fetched = unsafe EVP_MD_fetch(nil, digest.rawValue, nil) else { fatalError("OpenSSL has no \(digest.rawValue)") }
        unsafe pointer = fetched
    }
}
