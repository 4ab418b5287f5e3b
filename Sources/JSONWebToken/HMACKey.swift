import COpenSSL

/// A secret shared with whoever signs: HS256 (RFC 7518 §3.2), and nothing but HS256. The algorithm comes from the key.
public struct HMACKey: Sendable {
    let secret: [UInt8]

    /// - Parameter secret: at least one byte; RFC 7518 asks for 32. Nil where it is empty.
    public init?(secret: [UInt8]) {
        guard !secret.isEmpty else { return nil }
        self.secret = secret
    }

    static let algorithm = "HS256"
    static let signatureBytes = 32
}

/// One worker's HMAC-SHA256: the algorithm is fetched and the key set up once, since either costs more than a signature.
@safe final class HMACContext {
    private let prepared: OpaquePointer
    private let working: OpaquePointer

    init(_ key: HMACKey) {
        let algorithm = unsafe EVP_MAC_fetch(nil, "HMAC", nil)
        guard let context = unsafe EVP_MAC_CTX_new(algorithm) else { fatalError("OpenSSL has no HMAC") }
        unsafe EVP_MAC_free(algorithm)
        var digest = Array("SHA256".utf8CString)
        let isReady = unsafe digest.withUnsafeMutableBufferPointer { name in
            let parameters = unsafe [
                OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name.baseAddress, 0), OSSL_PARAM_construct_end(),
            ]
            return unsafe EVP_MAC_init(context, key.secret, key.secret.count, parameters)
        }
        guard isReady == 1, let copy = unsafe EVP_MAC_CTX_dup(context) else { fatalError("OpenSSL has no HMAC-SHA256") }
        unsafe prepared = context
        unsafe working = copy
    }

    deinit {
        unsafe EVP_MAC_CTX_free(prepared)
        unsafe EVP_MAC_CTX_free(working)
    }

    /// The 32 bytes of HMAC-SHA256 over `bytes`.
    func authenticate(_ bytes: Span<UInt8>) -> [UInt8] {
        var length = 0
        let code = unsafe [UInt8](unsafeUninitializedCapacity: HMACKey.signatureBytes) { room, count in
            // A nil key starts over with the one that was set up.
            let isReady = unsafe EVP_MAC_init(working, nil, 0, nil) == 1
            let isFed = unsafe bytes.withUnsafeBufferPointer { unsafe EVP_MAC_update(working, $0.baseAddress, $0.count) } == 1
            let isDone = unsafe EVP_MAC_final(working, room.baseAddress, &length, room.count) == 1
            count = isReady && isFed && isDone ? length : 0
        }
        return code
    }
}

/// Whether two byte strings are the same, in a time that does not tell where they differ.
func isEqualInConstantTime(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    guard left.count == right.count else { return false }
    return unsafe CRYPTO_memcmp(left, right, left.count) == 0
}
