import Bytes
import HTTPMessage
import PolicyProtocol
import TLS

/// What all workers share of one listener, but for its socket.
final class ListenerSetup: Sendable {
    let settings: ListenerSettings
    /// Nil: HTTP in the clear.
    let certificates: ServerCertificates?
    /// Where requests are sent instead of being served.
    let redirect: SecureRedirect?
    /// The whole line of `Strict-Transport-Security`; empty for none.
    let strictTransportSecurityLine: [UInt8]

    private init(_ settings: ListenerSettings, _ certificates: ServerCertificates?, _ redirect: SecureRedirect?) {
        self.settings = settings
        self.certificates = certificates
        self.redirect = redirect
        strictTransportSecurityLine = settings.strictTransportSecurity.map { Array("Strict-Transport-Security: \($0)\r\n".utf8) } ?? []
    }

    /// How clients reach the proxy here.
    var scheme: RequestScheme { certificates == nil ? .http : .https }

    /// Whether an upstream's field gives way to this listener's own: browsers heed the first one alone (RFC 6797 §8.1).
    func replaces(_ field: FieldLine, in bytes: Span<UInt8>) -> Bool {
        guard !strictTransportSecurityLine.isEmpty, field.kind == .other else { return false }
        return field.name.bytes(in: bytes).equalsIgnoringCase("strict-transport-security")
    }

    /// Reads the certificates of all listeners.
    ///
    /// - Parameter former: those of the configuration before, whose TLS sessions go on.
    static func all(_ settings: [ListenerSettings], replacing former: [ListenerSetup] = []) throws(TLSFailure) -> [ListenerSetup] {
        var certificates: [ServerCertificates?] = []
        for listener in settings {
            let before = former.first { $0.settings.host == listener.host && $0.settings.port == listener.port }?.certificates
            certificates.append(try listener.tls.map { tls throws(TLSFailure) in
                try ServerCertificates(tls, of: listener.url, replacing: before)
            })
        }
        let secure = certificates.compactMap { $0 }
        return zip(settings, certificates).map { listener, certificates in
            ListenerSetup(listener, certificates, listener.redirectPort.map { SecureRedirect(port: $0, certificates: secure) })
        }
    }
}

extension ProxyConfiguration {
    /// Reads every file that TLS needs, as the proxy does when it starts.
    public func checkCertificates() throws(TLSFailure) {
        _ = try ListenerSetup.all(allListeners)
        for upstream in routedUpstreams { _ = try upstream.secureContext() }
    }
}

/// Sends clients to the same place over TLS, if it is one of ours: a host that no certificate is for could be anybody's.
final class SecureRedirect: Sendable {
    let port: Int
    private let certificates: [ServerCertificates]

    init(port: Int, certificates: [ServerCertificates]) {
        self.port = port
        self.certificates = certificates
    }

    /// What the location begins with, for a request's `Host`; nil where the host is none of ours.
    func origin(of authority: String) -> String? {
        let host = authority.prefix { $0 != ":" }
        guard certificates.contains(where: { $0.current.hasCertificate(for: String(host)) }) else { return nil }
        return port == 443 ? "https://\(host)" : "https://\(host):\(port)"
    }
}
