import COpenSSL
import Synchronization

/// The keys under which a server seals the sessions that its clients bring back (RFC 5077 §4, RFC 8446 §4.6.1).
///
/// Shared by all workers, and by the certificates that follow each other on one listener. A key that leaked opens no more
/// than the tickets of two lifetimes; it is never written anywhere.
public final class TicketKeys: Sendable {
    /// A new key is made when the last one is as old as this; the one before it opens tickets for as long again.
    static let lifetimeMilliseconds: Int64 = 3_600_000

    /// How many keys open tickets, the one that seals among them.
    private static let maximumKept = 2

    struct Key: Sendable, Equatable {
        let name: [UInt8]
        let cipherKey: [UInt8]
        let authenticationKey: [UInt8]
        let madeMilliseconds: Int64
    }

    private let keys = Mutex<[Key]>([])
    private let nowMilliseconds: @Sendable () -> Int64

    /// - Parameter nowMilliseconds: a clock that never goes back.
    public init(nowMilliseconds: @escaping @Sendable () -> Int64) { self.nowMilliseconds = nowMilliseconds }

    /// The key that seals; nil where there is no randomness to make one of.
    func sealing() -> Key? {
        let now = nowMilliseconds()
        return keys.withLock { keys in
            Self.dropOld(&keys, now)
            if let key = keys.first, now - key.madeMilliseconds < Self.lifetimeMilliseconds { return key }
            guard let name = Self.random(16), let cipherKey = Self.random(32), let authenticationKey = Self.random(32) else {
                return nil
            }
            let key = Key(name: name, cipherKey: cipherKey, authenticationKey: authenticationKey, madeMilliseconds: now)
            keys.insert(key, at: 0)
            if keys.count > Self.maximumKept { keys.removeLast() }
            return key
        }
    }

    /// The key that a ticket names, and whether it still seals; nil where it is none of ours, or too old.
    func opening(_ name: [UInt8]) -> (key: Key, isCurrent: Bool)? {
        let now = nowMilliseconds()
        return keys.withLock { keys in
            Self.dropOld(&keys, now)
            guard let key = keys.first(where: { $0.name == name }) else { return nil }
            return (key, now - key.madeMilliseconds < Self.lifetimeMilliseconds)
        }
    }

    private static func dropOld(_ keys: inout [Key], _ now: Int64) {
        keys.removeAll { now - $0.madeMilliseconds >= Int64(maximumKept) * lifetimeMilliseconds }
    }

    private static func random(_ count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        return unsafe RAND_bytes(&bytes, Int32(count)) == 1 ? bytes : nil
    }

    // MARK: OpenSSL's side

    /// Seals or opens one ticket for OpenSSL: `SSL_CTX_set_tlsext_ticket_key_evp_cb(3)`.
    ///
    /// - Returns: 1 to go on, 2 to go on and have the ticket replaced, 0 for a full handshake, -1 for none at all.
    func prepare(
        _ name: UnsafeMutableBufferPointer<UInt8>, _ vector: UnsafeMutableBufferPointer<UInt8>, _ cipher: OpaquePointer,
        _ authentication: OpaquePointer, isSealing: Bool
    ) -> Int32 {
        if isSealing {
            guard let key = sealing(), unsafe RAND_bytes(vector.baseAddress, Int32(vector.count)) == 1 else { return -1 }
            _ = unsafe name.update(fromContentsOf: key.name)
            guard unsafe EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), nil, key.cipherKey, vector.baseAddress) == 1 else { return -1 }
            return unsafe setAuthenticationKey(key, authentication) ? 1 : -1
        }
        guard let (key, isCurrent) = unsafe opening(Array(name)) else { return 0 }
        guard unsafe EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nil, key.cipherKey, vector.baseAddress) == 1,
            unsafe setAuthenticationKey(key, authentication)
        else { return -1 }
        return isCurrent ? 1 : 2
    }

    private func setAuthenticationKey(_ key: Key, _ authentication: OpaquePointer) -> Bool {
        unsafe openssl_set_hmac_sha256_key(authentication, key.authenticationKey, key.authenticationKey.count) == 1
    }
}
