import COpenSSL

/// One worker's HMAC (RFC 7518 §3.2): the algorithm is fetched and the key set up once, since either costs more than a signature.
@safe final class HMACContext {
    private let context: OpaquePointer
    private let byteCount: Int

    /// - Parameter secret: at least one byte.
    init(_ secret: [UInt8], _ digest: Digest) {
        byteCount = digest.byteCount
        let algorithm = unsafe EVP_MAC_fetch(nil, "HMAC", nil)
        guard let context = unsafe EVP_MAC_CTX_new(algorithm) else { fatalError("OpenSSL has no HMAC") }
        unsafe EVP_MAC_free(algorithm)
        let parameters = OpenSSLParameters()
        parameters.add(OSSL_MAC_PARAM_DIGEST, text: digest.rawValue)
        guard unsafe parameters.withList({ unsafe EVP_MAC_init(context, secret, secret.count, $0) }) == 1 else {
            fatalError("OpenSSL has no HMAC with \(digest.rawValue)")
        }
        unsafe self.context = context
    }

    deinit { unsafe EVP_MAC_CTX_free(context) }

    /// The whole HMAC over `message`; empty where OpenSSL makes none.
    func authenticate(_ message: Span<UInt8>) -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: byteCount) { room, count in count = unsafe write(message, to: room) }
    }

    /// Writes the HMAC over `message`, and returns how many bytes it has; 0 where OpenSSL makes none.
    private func write(_ message: Span<UInt8>, to room: UnsafeMutableBufferPointer<UInt8>) -> Int {
        var length = 0
        // A nil key starts over with the one that was set up.
        let isDone = unsafe EVP_MAC_init(context, nil, 0, nil) == 1
            && message.withUnsafeBufferPointer { unsafe EVP_MAC_update(context, $0.baseAddress, $0.count) } == 1
            && EVP_MAC_final(context, room.baseAddress, &length, room.count) == 1
        return isDone ? length : 0
    }

    /// The length too must be right: a code that could not be made is empty, and must equal nothing.
    func holds(_ signature: Span<UInt8>, over message: Span<UInt8>) -> Bool {
        guard signature.count == byteCount else { return false }
        return unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: byteCount) { room in
            // The comparison takes a time that does not tell where they differ.
            unsafe write(message, to: room) == byteCount
                && signature.withUnsafeBufferPointer { unsafe CRYPTO_memcmp($0.baseAddress, room.baseAddress, byteCount) } == 0
        }
    }
}
