import COpenSSL

/// A certificate and its key, each in PEM, the key without a passphrase. Those between the certificate and its authority follow it.
public struct CertificateFiles: Sendable, Hashable {
    public var certificate: String
    public var key: String

    public init(certificate: String, key: String) {
        self.certificate = certificate
        self.key = key
    }
}

/// The versions of TLS that may be asked for at the least. Older ones are never spoken (RFC 8996).
public enum TLSVersion: String, Sendable, CaseIterable {
    case tls12 = "1.2"
    case tls13 = "1.3"

    var number: Int32 { self == .tls12 ? TLS1_2_VERSION : TLS1_3_VERSION }
}

/// Whom a client trusts, and as whom it shows itself.
public struct TLSClientSettings: Sendable, Hashable {
    /// A PEM file with the authorities that may have signed the server's certificate; nil for the system's.
    public var authoritiesFile: String?
    /// A PEM file with this client's certificate and those between it and its authority; nil for none.
    public var certificateFile: String?
    /// A PEM file with the key of that certificate, without a passphrase.
    public var keyFile: String?
    /// Off, anybody who stands in between can read and change everything.
    public var verifiesServer = true
    /// The protocols to offer, the preferred one first (ALPN, RFC 7301); empty for none.
    public var protocols: [String] = []

    public init(authoritiesFile: String? = nil, certificateFile: String? = nil, keyFile: String? = nil) {
        self.authoritiesFile = authoritiesFile
        self.certificateFile = certificateFile
        self.keyFile = keyFile
    }
}

/// As whom a server shows itself, and whom it lets in.
public struct TLSServerSettings: Sendable, Equatable {
    /// What is asked of clients' certificates.
    public struct ClientCertificates: Sendable, Equatable {
        /// A PEM file with the authorities that may have signed them.
        public var authoritiesFile: String
        /// Whether a client without one is refused. One with a certificate that nobody trusted has signed always is.
        public var isRequired: Bool

        public init(authoritiesFile: String, isRequired: Bool) {
            self.authoritiesFile = authoritiesFile
            self.isRequired = isRequired
        }
    }

    /// At least one. Which of them a client sees is a matter of the name it asks for; the first is for all other names.
    public var certificates: [CertificateFiles]
    /// Nil: none is asked for.
    public var clientCertificates: ClientCertificates?
    public var minimumVersion = TLSVersion.tls12
    /// The protocols to choose from, the preferred one first (ALPN, RFC 7301); empty where clients aren't answered.
    public var protocols: [String] = []

    public init(certificates: [CertificateFiles]) { self.certificates = certificates }
}

/// Protocol names as ALPN writes them, each behind its length (RFC 7301 §3.1).
struct ProtocolList {
    let bytes: [UInt8]

    init(_ names: [String]) { bytes = names.flatMap { [UInt8(truncatingIfNeeded: $0.utf8.count)] + Array($0.utf8) } }
}
