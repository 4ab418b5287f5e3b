import COpenSSL

/// What a peer's certificate says of it, once it has been verified.
public final class PeerCertificate: Sendable {
    /// The distinguished name as RFC 4514 writes it: `CN=worker,O=Example`.
    public let subject: String
    /// Its alternative names that are host names, URIs or email addresses.
    public let names: [AlternativeName]
    /// The SHA-256 of the certificate: 32 bytes.
    public let fingerprint: [UInt8]

    /// Reads an `X509`; nil where it can't be read.
    init?(_ certificate: OpaquePointer) {
        guard let fingerprint = unsafe Self.fingerprint(certificate), let subject = unsafe Self.subject(certificate),
            let names = unsafe AlternativeName.all(of: certificate)
        else { return nil }
        self.subject = subject
        self.fingerprint = fingerprint
        self.names = names
    }

    private static func fingerprint(_ certificate: OpaquePointer) -> [UInt8]? {
        var digest = [UInt8](repeating: 0, count: 32)
        var count: UInt32 = 32
        return unsafe X509_digest(certificate, EVP_sha256(), &digest, &count) == 1 && count == 32 ? digest : nil
    }

    private static func subject(_ certificate: OpaquePointer) -> String? {
        guard let memory = unsafe BIO_new(BIO_s_mem()) else { return nil }
        defer { unsafe BIO_free(memory) }
        let name = unsafe X509_get_subject_name(certificate)
        guard unsafe X509_NAME_print_ex(memory, name, 0, openssl_name_format) >= 0 else { return nil }
        var text = [UInt8](repeating: 0, count: unsafe BIO_ctrl_pending(memory))
        let count = unsafe BIO_read(memory, &text, Int32(clamping: text.count))
        return String(decoding: text.prefix(max(Int(count), 0)), as: UTF8.self)
    }
}

/// Whether the certificate that a session's peer has shown, if it has shown one, is not over: whoever brings the session back does not
/// show it again, and nothing is verified anew.
func hasCurrentPeer(_ session: OpaquePointer, nowUnixSeconds: Int64) -> Bool {
    guard let certificate = unsafe SSL_SESSION_get0_peer(session) else { return true }
    var now = time_t(nowUnixSeconds)
    return unsafe X509_cmp_time(X509_get0_notAfter(certificate), &now) > 0
}

/// One of a certificate's alternative names (RFC 5280 §4.2.1.6).
public struct AlternativeName: Equatable, Sendable {
    public enum Kind: Equatable, Sendable { case domain, email, uri }

    public let kind: Kind
    /// As it stands in the certificate.
    public let text: String

    /// Those of the kinds above, in the certificate's order. Nil where one can't be told: who is asked not to be called something must not pass
    /// for want of a name.
    static func all(of certificate: OpaquePointer) -> [AlternativeName]? {
        var isCritical: Int32 = 0
        guard let found = unsafe X509_get_ext_d2i(certificate, NID_subject_alt_name, &isCritical, nil) else {
            // -1: there is no such extension.
            return isCritical == -1 ? [] : nil
        }
        let names = OpaquePointer(found)
        defer { unsafe GENERAL_NAMES_free(names) }
        let count = unsafe openssl_general_name_count(names)
        var all: [AlternativeName] = []
        for index in 0..<count {
            let type = unsafe openssl_general_name_type(names, index)
            let kind: Kind? = switch type {
            case GEN_DNS: .domain
            case GEN_EMAIL: .email
            case GEN_URI: .uri
            default: nil
            }
            guard let kind else { continue }
            var first: UnsafePointer<UInt8>?
            let count = unsafe openssl_general_name_text(names, index, &first)
            let bytes = unsafe Array(UnsafeBufferPointer(start: first, count: Int(count)))
            // A zero byte has passed a longer name off as a shorter one (CVE-2009-2408).
            guard !bytes.contains(0) else { return nil }
            all.append(AlternativeName(kind: kind, text: String(decoding: bytes, as: UTF8.self)))
        }
        return all
    }
}
