import COpenSSL

/// Keys as PEM (RFC 7468).
enum OpenSSLPEM {
    private static let accepted = "one PUBLIC KEY, CERTIFICATE or unencrypted PRIVATE KEY"

    static func verificationKey(_ text: [UInt8]) throws(UnusableKey) -> VerificationKey {
        let key = try read(text)
        if let parts = try key.publicParts() { return try VerificationKey(parts, id: nil) }
        let modulus = try key.number(OSSL_PKEY_PARAM_RSA_N)
        try RSABounds.check(modulus: modulus, exponent: try key.number(OSSL_PKEY_PARAM_RSA_E))
        // A key for RSASSA-PSS may be bound to one hash, and to a longer salt than JWA's (RFC 4055 §3.1).
        let algorithms = SignatureAlgorithm.pss.filter { OpenSSLSignature(key, $0) != nil }
        guard !algorithms.isEmpty else { throw UnusableKey("an RSA-PSS key whose parameters exclude those of PS256, PS384 and PS512") }
        return VerificationKey(.publicKey(key, signatureBytes: modulus.count), id: nil, algorithms: algorithms)
    }

    /// The key of the first block, with its private half if it has one. What stands behind a certificate are those of its chain.
    static func read(_ text: [UInt8]) throws(UnusableKey) -> OpenSSLKey {
        guard text.count <= KeySet.maximumBytes else {
            throw UnusableKey("a PEM of \(text.count) bytes", accepted: "at most \(KeySet.maximumBytes)")
        }
        let source = unsafe BIO_new_mem_buf(text, Int32(text.count))
        defer {
            unsafe BIO_free(source)
            ERR_clear_error()
        }
        var first: (label: String, key: OpenSSLKey)?
        while let block = unsafe nextBlock(source) {
            // `openssl ecparam -genkey` writes the curve's name in front of the key, which has it as well.
            if block.label == "EC PARAMETERS" { continue }
            guard let found = first else {
                guard !block.isEncrypted else { throw UnusableKey("PEM with an encrypted key", accepted: accepted) }
                first = (block.label, try key(block))
                continue
            }
            guard found.label == "CERTIFICATE", block.label == "CERTIFICATE" else {
                throw UnusableKey("PEM with a \(found.label) and a \(block.label)", accepted: accepted)
            }
        }
        guard let first else { throw UnusableKey("neither JSON nor PEM that can be read", accepted: accepted) }
        return first.key
    }

    private struct Block {
        let label: String
        let isEncrypted: Bool
        let content: [UInt8]
    }

    private static func nextBlock(_ source: OpaquePointer?) -> Block? {
        var label: UnsafeMutablePointer<CChar>?
        var header: UnsafeMutablePointer<CChar>?
        var content: UnsafeMutablePointer<UInt8>?
        var length = 0
        guard unsafe PEM_read_bio(source, &label, &header, &content, &length) == 1, let label = unsafe label else { return nil }
        defer {
            unsafe CRYPTO_free(label, nil, 0)
            unsafe CRYPTO_free(header, nil, 0)
            unsafe CRYPTO_clear_free(content, length, nil, 0)
        }
        let name = unsafe String(cString: label)
        let isEncrypted = unsafe name == "ENCRYPTED PRIVATE KEY" || header.map { unsafe $0.pointee != 0 } == true
        return Block(
            label: name, isEncrypted: isEncrypted, content: unsafe Array(UnsafeBufferPointer(start: content, count: length)))
    }

    private static func key(_ block: Block) throws(UnusableKey) -> OpenSSLKey {
        let (key, length) = unsafe block.content.withUnsafeBufferPointer { bytes in
            var position = bytes.baseAddress
            let key = unsafe decode(block.label, &position, bytes.count)
            return unsafe (key, bytes.baseAddress.map { start in unsafe start.distance(to: position ?? start) } ?? 0)
        }
        guard let key = unsafe key else { throw UnusableKey("PEM with a \(block.label) that cannot be read", accepted: accepted) }
        let owned = unsafe OpenSSLKey(adopting: key)
        guard length == block.content.count else { throw UnusableKey("PEM with a \(block.label) and something behind it", accepted: accepted) }
        return owned
    }

    private static func decode(_ label: String, _ position: inout UnsafePointer<UInt8>?, _ length: Int) -> OpaquePointer? {
        switch label {
        case "PUBLIC KEY": return unsafe d2i_PUBKEY(nil, &position, length)
        case "RSA PUBLIC KEY": return unsafe d2i_PublicKey(EVP_PKEY_RSA, nil, &position, length)
        case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY": return unsafe d2i_AutoPrivateKey(nil, &position, length)
        case "CERTIFICATE":
            let certificate = unsafe d2i_X509(nil, &position, length)
            defer { unsafe X509_free(certificate) }
            return unsafe X509_get_pubkey(certificate)
        default: return nil
        }
    }
}
