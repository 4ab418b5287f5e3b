import COpenSSL

/// What all sessions of one kind with servers have in common: authorities, certificate, versions. Read once, shared by all workers.
///
/// TLS 1.2 at the least and no renegotiation: neither can be switched off.
@safe public final class TLSContext: Sendable {
    /// Immutable once made; OpenSSL counts references to it with atomics.
    nonisolated(unsafe) let handle: OpaquePointer
    public let verifiesServer: Bool

    /// For sessions with servers.
    public init(client settings: TLSClientSettings) throws(TLSFailure) {
        guard let handle = unsafe SSL_CTX_new(TLS_client_method()) else { throw .last("prepare TLS") }
        unsafe self.handle = handle
        verifiesServer = settings.verifiesServer
        unsafe prepareContext(handle, minimumVersion: .tls12)
        unsafe TLSSessions.collect(from: handle)
        unsafe SSL_CTX_set_verify(handle, settings.verifiesServer ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nil)
        if let file = settings.authoritiesFile {
            try check(unsafe SSL_CTX_load_verify_file(handle, file), "read the authorities in \(file)")
        } else {
            try check(unsafe SSL_CTX_set_default_verify_paths(handle), "read the system's authorities")
        }
        switch (settings.certificateFile, settings.keyFile) {
        case (nil, nil): break
        case (let certificate?, let key?):
            try unsafe useCertificate(CertificateFiles(certificate: certificate, key: key), in: handle)
        case (_?, nil): throw TLSFailure("there is a client certificate, but no key for it")
        case (nil, _?): throw TLSFailure("there is a key, but no client certificate for it")
        }
        guard !settings.protocols.isEmpty else { return }
        let list = ProtocolList(settings.protocols).bytes
        // Unlike its siblings it returns 0 for success.
        try check(unsafe SSL_CTX_set_alpn_protos(handle, list, UInt32(list.count)) == 0 ? 1 : 0, "offer the protocols")
    }

    deinit { unsafe SSL_CTX_free(handle) }
}

/// What holds for each session of this project.
func prepareContext(_ handle: OpaquePointer, minimumVersion: TLSVersion) {
    // Without this OpenSSL would ask on the terminal.
    unsafe SSL_CTX_set_default_passwd_cb(handle) { _, _, _, _ in 0 }
    _ = unsafe openssl_set_minimum_version(handle, minimumVersion.number)
    _ = unsafe SSL_CTX_set_options(handle, openssl_safe_options)
    // A buffer moves and grows between two tries of a write; and an idle session keeps none.
    unsafe openssl_set_mode(
        handle, Int(SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS))
    // A record's head and content in one call of the kernel, rather than one each.
    unsafe openssl_set_read_ahead(handle)
}

/// Reads a certificate, those between it and its authority, and its key.
func useCertificate(_ files: CertificateFiles, in handle: OpaquePointer) throws(TLSFailure) {
    try check(unsafe SSL_CTX_use_certificate_chain_file(handle, files.certificate), "read the certificate in \(files.certificate)")
    try check(unsafe SSL_CTX_use_PrivateKey_file(handle, files.key, SSL_FILETYPE_PEM), "read the key in \(files.key)")
    try check(unsafe SSL_CTX_check_private_key(handle), "use the key in \(files.key) with the certificate in \(files.certificate)")
}

func check(_ result: Int32, _ doing: String) throws(TLSFailure) {
    guard result == 1 else { throw .last(doing) }
}
