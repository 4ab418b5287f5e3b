import COpenSSL

/// The rule for clients' certificates, the same for all certificates of a listener. The authorities are read once: what binds a session is then
/// what its client was verified by.
struct AcceptedClients {
    private let settings: TLSServerSettings.ClientCertificates?
    /// In PEM.
    private let authorities: [UInt8]
    /// What a session can be brought back to: one where the same was asked of the client, and believed.
    private let sessionContext: [UInt8]

    init(_ settings: TLSServerSettings.ClientCertificates?) throws(TLSFailure) {
        self.settings = settings
        guard let settings else {
            (authorities, sessionContext) = ([], [0])
            return
        }
        authorities = try Self.bytes(of: settings.authoritiesFile)
        var digest = [UInt8](repeating: 0, count: 32)
        let rule = [UInt8(settings.isRequired ? 2 : 1)] + authorities
        try check(unsafe EVP_Digest(rule, rule.count, &digest, nil, EVP_sha256(), nil), "read \(settings.authoritiesFile)")
        sessionContext = digest
    }

    func apply(to handle: OpaquePointer) throws(TLSFailure) {
        try check(unsafe SSL_CTX_set_session_id_context(handle, sessionContext, UInt32(sessionContext.count)), "prepare TLS")
        guard let settings else { return }
        try unsafe addAuthorities(to: handle, "read the authorities in \(settings.authoritiesFile)")
        unsafe SSL_CTX_set_verify(handle, SSL_VERIFY_PEER | (settings.isRequired ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nil)
    }

    /// Believes each of them, and names it to clients as one whose certificates they may show.
    private func addAuthorities(to handle: OpaquePointer, _ doing: String) throws(TLSFailure) {
        try unsafe authorities.span.withUnsafeBytes { bytes throws(TLSFailure) in
            guard let source = unsafe BIO_new_mem_buf(bytes.baseAddress, Int32(clamping: bytes.count)) else { throw .last(doing) }
            defer {
                unsafe BIO_free(source)
                ERR_clear_error()
            }
            var count = 0
            while let certificate = unsafe PEM_read_bio_X509(source, nil, nil, nil) {
                defer { unsafe X509_free(certificate) }
                try check(unsafe X509_STORE_add_cert(SSL_CTX_get_cert_store(handle), certificate), doing)
                try check(unsafe SSL_CTX_add_client_CA(handle, certificate), doing)
                count += 1
            }
            // Nothing more in PEM, rather than something that can't be read.
            guard count > 0, ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE else { throw .last(doing) }
        }
    }

    private static func bytes(of file: String) throws(TLSFailure) -> [UInt8] {
        guard let stream = unsafe BIO_new_file(file, "r") else { throw .last("read the authorities in \(file)") }
        defer { unsafe BIO_free(stream) }
        var (bytes, piece): ([UInt8], [UInt8]) = ([], [UInt8](repeating: 0, count: 65_536))
        while case let count = unsafe BIO_read(stream, &piece, Int32(piece.count)), count > 0 { bytes += piece[..<Int(count)] }
        return bytes
    }
}
