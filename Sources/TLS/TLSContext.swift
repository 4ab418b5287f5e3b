import COpenSSL

/// Whom a client trusts, and as whom it shows itself.
public struct TLSClientSettings: Sendable, Equatable {
    /// A PEM file with the authorities that may have signed the server's certificate; nil for the system's.
    public var authoritiesFile: String?
    /// A PEM file with this client's certificate and those between it and its authority; nil for none.
    public var certificateFile: String?
    /// A PEM file with the key of that certificate, without a passphrase.
    public var keyFile: String?

    public init(authoritiesFile: String? = nil, certificateFile: String? = nil, keyFile: String? = nil) {
        self.authoritiesFile = authoritiesFile
        self.certificateFile = certificateFile
        self.keyFile = keyFile
    }
}

/// What all sessions of one kind have in common: authorities, certificates, versions. Read once, shared by all workers.
///
/// TLS 1.2 at the least, no renegotiation, and a client always verifies its server: none of that can be switched off.
@safe public final class TLSContext: Sendable {
    /// Immutable once made; OpenSSL counts references to it with atomics.
    nonisolated(unsafe) let handle: OpaquePointer

    /// For sessions with servers.
    public convenience init(client settings: TLSClientSettings) throws(TLSFailure) {
        guard let handle = unsafe SSL_CTX_new(TLS_client_method()) else { throw .last("prepare TLS") }
        unsafe self.init(owning: handle)
        unsafe SSL_CTX_set_verify(handle, SSL_VERIFY_PEER, nil)
        if let file = settings.authoritiesFile {
            try check(unsafe SSL_CTX_load_verify_file(handle, file), "read the authorities in \(file)")
        } else {
            try check(unsafe SSL_CTX_set_default_verify_paths(handle), "read the system's authorities")
        }
        switch (settings.certificateFile, settings.keyFile) {
        case (nil, nil): break
        case (let certificate?, let key?): try use(certificate, key)
        case (_?, nil): throw TLSFailure("there is a client certificate, but no key for it")
        case (nil, _?): throw TLSFailure("there is a key, but no client certificate for it")
        }
    }

    private init(owning handle: OpaquePointer) {
        unsafe self.handle = handle
        // Without this OpenSSL would ask on the terminal.
        unsafe SSL_CTX_set_default_passwd_cb(handle) { _, _, _, _ in 0 }
        _ = unsafe openssl_set_minimum_version(handle, TLS1_2_VERSION)
        _ = unsafe SSL_CTX_set_options(handle, openssl_no_renegotiation)
        // A buffer moves and grows between two tries of a write; and an idle session keeps none.
        unsafe openssl_set_mode(
            handle, Int(SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS))
    }

    deinit { unsafe SSL_CTX_free(handle) }

    private func use(_ certificate: String, _ key: String) throws(TLSFailure) {
        try check(
            unsafe SSL_CTX_use_certificate_chain_file(handle, certificate), "read the certificate in \(certificate)")
        try check(unsafe SSL_CTX_use_PrivateKey_file(handle, key, SSL_FILETYPE_PEM), "read the key in \(key)")
        try check(unsafe SSL_CTX_check_private_key(handle), "use the key in \(key) with the certificate in \(certificate)")
    }

    private func check(_ result: Int32, _ doing: String) throws(TLSFailure) {
        guard result == 1 else { throw .last(doing) }
    }
}
