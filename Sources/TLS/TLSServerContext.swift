import COpenSSL
import EventLoop

/// What all sessions of one listener have in common: its certificates, whom it lets in, versions. Read once, shared by all workers.
///
/// Mozilla's intermediate list (Server Side TLS, guidelines 6.0): TLS 1.2 and 1.3, forward secrecy and authenticated encryption
/// only, the client's preference. No renegotiation, no compression, no early data; sessions are kept by the clients, in tickets.
@safe public final class TLSServerContext: Sendable {
    private static let cipherSuites = """
        ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:\
        ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305
        """
    private static let groups = "X25519:prime256v1:secp384r1"
    /// How long a client may bring a session back, in seconds: as long as its ticket can be opened.
    private static let sessionSeconds = 2 * Int(TicketKeys.lifetimeMilliseconds / 1000)

    /// One `SSL_CTX` for each set of names: with certificates of several kinds of keys where they have the same names.
    /// Immutable once made; OpenSSL counts references to them with atomics.
    nonisolated(unsafe) private let handles: [OpaquePointer]
    private let names: ServerNames
    fileprivate let tickets: TicketKeys
    fileprivate let protocols: [UInt8]
    fileprivate let nowUnixSeconds: @Sendable () -> Int64

    /// - Parameter tickets: those of the context before this one, so that its clients' sessions go on.
    public convenience init(_ settings: TLSServerSettings, tickets: TicketKeys) throws(TLSFailure) {
        try self.init(settings, tickets: tickets, nowUnixSeconds: { Clock.unixMilliseconds() / 1000 })
    }

    init(_ settings: TLSServerSettings, tickets: TicketKeys, nowUnixSeconds: @escaping @Sendable () -> Int64) throws(TLSFailure) {
        self.tickets = tickets
        self.nowUnixSeconds = nowUnixSeconds
        protocols = ProtocolList(settings.protocols).bytes
        var identities = unsafe Identities()
        do throws(TLSFailure) {
            for files in settings.certificates { try unsafe identities.add(files) }
            guard unsafe !identities.handles.isEmpty else { throw TLSFailure("a server needs a certificate") }
            let accepted = try AcceptedClients(settings.clientCertificates)
            for unsafe handle in unsafe identities.handles { try unsafe Self.prepare(handle, settings, accepted) }
        } catch {
            for unsafe handle in unsafe identities.handles { unsafe SSL_CTX_free(handle) }
            throw error
        }
        unsafe handles = identities.handles
        names = unsafe identities.names
        for unsafe handle in unsafe handles { unsafe setCallbacks(handle) }
    }

    deinit { for unsafe handle in unsafe handles { unsafe SSL_CTX_free(handle) } }

    /// What a session begins with: the first certificate, until the client has said whom it wants.
    var first: OpaquePointer { unsafe handles[0] }

    /// Whether one of the certificates is for this host name.
    public func hasCertificate(for name: String) -> Bool { names.index(of: name) != nil }

    fileprivate func handle(for name: String) -> OpaquePointer? { unsafe names.index(of: name).map { unsafe handles[$0] } }

    private static func prepare(_ handle: OpaquePointer, _ settings: TLSServerSettings, _ accepted: AcceptedClients) throws(TLSFailure) {
        unsafe prepareContext(handle, minimumVersion: settings.minimumVersion)
        try check(unsafe SSL_CTX_set_cipher_list(handle, cipherSuites), "set the cipher suites")
        try check(unsafe openssl_set_groups(handle, groups), "set the groups")
        unsafe openssl_set_session_cache_off(handle)
        _ = unsafe SSL_CTX_set_timeout(handle, sessionSeconds)
        try unsafe accepted.apply(to: handle)
    }

    // MARK: What OpenSSL asks

    private func setCallbacks(_ handle: OpaquePointer) {
        // Lives as long as the sessions: each holds it.
        let this = unsafe Unmanaged.passUnretained(self).toOpaque()
        _ = unsafe SSL_CTX_set_ex_data(handle, 0, this)
        unsafe openssl_set_server_name_callback(handle, { session, _, this in
            guard let session = unsafe session, let name = unsafe SSL_get_servername(session, TLSEXT_NAMETYPE_host_name) else {
                return SSL_TLSEXT_ERR_NOACK
            }
            guard let handle = unsafe TLSServerContext.at(this)?.handle(for: String(cString: name)) else { return SSL_TLSEXT_ERR_NOACK }
            _ = unsafe SSL_set_SSL_CTX(session, handle)
            return SSL_TLSEXT_ERR_OK
        }, this)
        _ = unsafe SSL_CTX_set_tlsext_ticket_key_evp_cb(handle) { session, name, vector, cipher, authentication, isSealing in
            guard let context = unsafe TLSServerContext.of(session), let cipher = unsafe cipher,
                let authentication = unsafe authentication
            else { return -1 }
            return unsafe context.tickets.prepare(
                UnsafeMutableBufferPointer(start: name, count: 16), UnsafeMutableBufferPointer(start: vector, count: 16), cipher,
                authentication, isSealing: isSealing == 1)
        }
        _ = unsafe SSL_CTX_set_session_ticket_cb(handle, nil, { _, session, _, _, status, this in
            guard status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW, let session = unsafe session,
                let context = unsafe TLSServerContext.at(this), unsafe hasCurrentPeer(session, nowUnixSeconds: context.nowUnixSeconds())
            else { return SSL_TICKET_RETURN_IGNORE_RENEW }
            return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW
        }, this)
        guard !protocols.isEmpty else { return }
        unsafe SSL_CTX_set_alpn_select_cb(handle, { session, chosen, chosenCount, offered, offeredCount, this in
            guard let context = unsafe TLSServerContext.at(this) else { return SSL_TLSEXT_ERR_ALERT_FATAL }
            return unsafe context.choose(offered, offeredCount, chosen, chosenCount)
        }, this)
    }

    /// Chooses by this side's preference; a client that offers none of the protocols is refused (RFC 7301 §3.2).
    private func choose(
        _ offered: UnsafePointer<UInt8>?, _ offeredCount: UInt32, _ chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
        _ chosenCount: UnsafeMutablePointer<UInt8>?
    ) -> Int32 {
        var position = 0
        let bytes = unsafe Array(UnsafeBufferPointer(start: offered, count: Int(offeredCount)))
        for wanted in Self.entries(protocols) {
            position = 0
            for entry in Self.entries(bytes) {
                if entry.elementsEqual(wanted) {
                    // Has to point into memory that outlives the call: the client's own list does.
                    unsafe chosen?.pointee = offered.map { unsafe $0 + position + 1 }
                    unsafe chosenCount?.pointee = UInt8(entry.count)
                    return SSL_TLSEXT_ERR_OK
                }
                position += 1 + entry.count
            }
        }
        return SSL_TLSEXT_ERR_ALERT_FATAL
    }

    private static func entries(_ list: [UInt8]) -> [ArraySlice<UInt8>] {
        var entries: [ArraySlice<UInt8>] = []
        var start = 0
        while start < list.count {
            let end = min(start + 1 + Int(list[start]), list.count)
            entries.append(list[(start + 1)..<end])
            start = end
        }
        return entries
    }

    private static func of(_ session: OpaquePointer?) -> TLSServerContext? {
        unsafe session.flatMap { unsafe SSL_get_SSL_CTX($0) }.flatMap { unsafe at(SSL_CTX_get_ex_data($0, 0)) }
    }

    private static func at(_ pointer: UnsafeMutableRawPointer?) -> TLSServerContext? {
        unsafe pointer.map { unsafe Unmanaged<TLSServerContext>.fromOpaque($0).takeUnretainedValue() }
    }
}

/// The certificates of a server as they are read, one after the other.
@unsafe private struct Identities {
    var handles: [OpaquePointer] = unsafe []
    var names = ServerNames()
    /// Of each handle: its names, and the kinds of its keys.
    private var known: [(names: [String], kinds: [Int32])] = []

    mutating func add(_ files: CertificateFiles) throws(TLSFailure) {
        guard let handle = unsafe SSL_CTX_new(TLS_server_method()) else { throw .last("prepare TLS") }
        // Kept at once, for whoever has to free it.
        unsafe handles.append(handle)
        unsafe SSL_CTX_set_default_passwd_cb(handle) { _, _, _, _ in 0 }
        try unsafe useCertificate(files, in: handle)
        guard let certificate = unsafe SSL_CTX_get0_certificate(handle), let key = unsafe X509_get0_pubkey(certificate) else {
            throw .last("read the certificate in \(files.certificate)")
        }
        let names = unsafe (AlternativeName.all(of: certificate) ?? []).filter { $0.kind == .domain }.map(\.text)
        let kind = unsafe EVP_PKEY_get_base_id(key)
        if let index = unsafe known.firstIndex(where: { !$0.kinds.contains(kind) && $0.names == names }) {
            // The same names with another kind of key (ECDSA beside RSA): the client's abilities choose between the two.
            try unsafe useCertificate(files, in: handles[index])
            unsafe known[index].kinds.append(kind)
            unsafe SSL_CTX_free(handles.removeLast())
            return
        }
        for name in names { unsafe self.names.add(name, at: handles.count - 1) }
        unsafe known.append((names, [kind]))
    }
}
