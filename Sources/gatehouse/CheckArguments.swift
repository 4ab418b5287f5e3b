import ArgumentParser
import JSON
import Policy
import PolicyProtocol

/// The request to ask about.
struct CheckArguments: Sendable {
    var method: String
    var host: String
    var path: String
    var headers: [Header]
    var certificate: ClientCertificate?
}

/// A header as it is given: `Name: value`.
struct Header: ExpressibleByArgument, Equatable, Sendable {
    /// In lower case.
    let name: String
    let value: String

    init(name: String, value: String) {
        self.name = name
        self.value = value
    }

    init?(argument: String) {
        guard let colon = argument.firstIndex(of: ":"), colon != argument.startIndex else { return nil }
        name = argument[..<colon].lowercased()
        let blanks: Set<Character> = [" ", "\t"]
        let value = argument[argument.index(after: colon)...].drop(while: blanks.contains)
        self.value = String(value.reversed().drop(while: blanks.contains).reversed())
    }
}

/// What the client's certificate says, as JSON: `{"subject": "CN=worker"}`.
struct CertificateArgument: ExpressibleByArgument {
    let certificate: ClientCertificate

    init?(argument: String) {
        guard case .object(let facts)? = try? JSONValue.parse(Array(argument.utf8).span), let certificate = try? ClientCertificate(facts) else {
            return nil
        }
        self.certificate = certificate
    }

    static let help: ArgumentHelp = #"""
        What the client's certificate says, as JSON, as in {"subject":"CN=worker","uri":["spiffe://example/worker"]}: subject, \
        fingerprint, dns, uri, email.
        """#
}

extension ClientCertificate {
    /// As a CHECK tells it.
    func field() throws(ProtocolError) -> [UInt8] {
        try CertificateField.encode(
            fingerprint: fingerprint, subject: subject,
            names: names.compactMap { name in
                switch name.kind {
                case .dns: (.domain, name.text)
                case .uri: (.uri, name.text)
                case .email: (.email, name.text)
                case .subject, .fingerprint: nil
                }
            })
    }
}
