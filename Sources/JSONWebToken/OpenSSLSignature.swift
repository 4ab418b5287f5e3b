import COpenSSL

/// One worker's use of one key by one algorithm. Set up once, as that costs as much as a check; what is left for a token is
/// what `openssl speed` measures.
@safe final class OpenSSLSignature {
    private let key: OpenSSLKey
    private let algorithm: SignatureAlgorithm
    /// Hashes; and for EdDSA does all there is to do.
    private let digestContext: OpaquePointer
    /// Nil for EdDSA.
    private let keyContext: OpaquePointer?

    enum Direction { case verify, sign }

    /// Nil where the key does not admit the algorithm.
    init?(_ key: OpenSSLKey, _ algorithm: SignatureAlgorithm, _ direction: Direction = .verify) {
        self.key = key
        self.algorithm = algorithm
        guard let context = unsafe EVP_MD_CTX_new() else { return nil }
        unsafe digestContext = context
        if let digest = algorithm.digest {
            unsafe keyContext = EVP_PKEY_CTX_new_from_pkey(nil, key.pointer, nil)
            guard unsafe Self.setUp(keyContext, algorithm, OpenSSLDigest.fetched(digest), direction) else {
                ERR_clear_error()
                return nil
            }
        } else {
            unsafe keyContext = nil
            let isReady =
                switch direction {
                case .verify: unsafe EVP_DigestVerifyInit_ex(context, nil, nil, nil, nil, key.pointer, nil) == 1
                case .sign: unsafe EVP_DigestSignInit_ex(context, nil, nil, nil, nil, key.pointer, nil) == 1
                }
            guard isReady else {
                ERR_clear_error()
                return nil
            }
        }
    }

    deinit {
        unsafe EVP_PKEY_CTX_free(keyContext)
        unsafe EVP_MD_CTX_free(digestContext)
    }

    private static func setUp(
        _ context: OpaquePointer?, _ algorithm: SignatureAlgorithm, _ digest: OpenSSLDigest, _ direction: Direction
    ) -> Bool {
        let isReady =
            switch direction {
            case .verify: unsafe EVP_PKEY_verify_init(context) == 1
            case .sign: unsafe EVP_PKEY_sign_init(context) == 1
            }
        guard isReady else { return false }
        switch algorithm.family {
        case .pkcs1:
            guard unsafe EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1 else { return false }
        case .pss:
            guard unsafe EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 else { return false }
        case .hmac, .ecdsa, .edwards: break
        }
        guard unsafe EVP_PKEY_CTX_set_signature_md(context, digest.pointer) == 1 else { return false }
        guard algorithm.family == .pss else { return true }
        // RFC 7518 §3.5: the salt is as long as the hash, and the mask is made with the same one.
        return unsafe EVP_PKEY_CTX_set_rsa_mgf1_md(context, digest.pointer) == 1
            && EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1
    }

    /// - Parameter signature: of exactly the length that the key and the algorithm make it.
    func holds(_ signature: Span<UInt8>, over message: Span<UInt8>) -> Bool {
        let holds: Bool
        if let digest = algorithm.digest {
            let encoded = algorithm.family == .ecdsa ? ECDSASignature.der(signature.array) : []
            let signature = algorithm.family == .ecdsa ? encoded.span : signature
            holds = unsafe signature.withUnsafeBufferPointer { signature in
                unsafe withHash(of: message, digest) { hash, hashLength in
                    unsafe EVP_PKEY_verify(keyContext, signature.baseAddress, signature.count, hash, hashLength) == 1
                }
            }
        } else {
            holds = unsafe signature.withUnsafeBufferPointer { signature in
                unsafe message.withUnsafeBufferPointer {
                    // Nil for the key starts over with the one that was set up.
                    unsafe EVP_DigestVerifyInit_ex(digestContext, nil, nil, nil, nil, nil, nil) == 1
                        && EVP_DigestVerify(digestContext, signature.baseAddress, signature.count, $0.baseAddress, $0.count) == 1
                }
            }
        }
        // Whatever OpenSSL has noted about a forged one must not be read as another call's failure.
        if !holds { ERR_clear_error() }
        return holds
    }

    /// The signature as JWS has it; nil where OpenSSL makes none.
    func sign(_ message: Span<UInt8>) -> [UInt8]? {
        var length = unsafe Int(EVP_PKEY_get_size(key.pointer))
        let signature = unsafe [UInt8](unsafeUninitializedCapacity: length) { room, count in
            let isDone =
                if let digest = algorithm.digest {
                    unsafe withHash(of: message, digest) { hash, hashLength in
                        unsafe EVP_PKEY_sign(keyContext, room.baseAddress, &length, hash, hashLength) == 1
                    }
                } else {
                    unsafe message.withUnsafeBufferPointer {
                        unsafe EVP_DigestSignInit_ex(digestContext, nil, nil, nil, nil, nil, nil) == 1
                            && EVP_DigestSign(digestContext, room.baseAddress, &length, $0.baseAddress, $0.count) == 1
                    }
                }
            count = isDone ? length : 0
        }
        guard !signature.isEmpty else {
            ERR_clear_error()
            return nil
        }
        return signature
    }

    private func withHash(of message: Span<UInt8>, _ digest: Digest, _ body: (UnsafePointer<UInt8>?, Int) -> Bool) -> Bool {
        unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Digest.longestBytes) { hash in
            var length: UInt32 = 0
            let isHashed = unsafe message.withUnsafeBufferPointer {
                unsafe EVP_DigestInit_ex2(digestContext, OpenSSLDigest.fetched(digest).pointer, nil) == 1
                    && EVP_DigestUpdate(digestContext, $0.baseAddress, $0.count) == 1
                    && EVP_DigestFinal_ex(digestContext, hash.baseAddress, &length) == 1
            }
            return unsafe isHashed && body(UnsafePointer(hash.baseAddress), Int(length))
        }
    }
}
