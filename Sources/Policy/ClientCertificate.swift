import Bytes
import JSON

/// What can be said of a client's certificate, by the name that an operator uses for it.
public enum CertificateFact: String, CaseIterable, Sendable {
    /// The distinguished name as RFC 4514 writes it: `CN=worker,O=Example`.
    case subject
    /// The SHA-256 of the certificate, in 64 hexadecimal digits.
    case fingerprint
    /// The alternative names of each kind (RFC 5280 §4.2.1.6); host names in lower case.
    case dns
    case uri
    case email

    /// Whether there may be several.
    var isList: Bool { self != .subject && self != .fingerprint }

    /// Reads a name as an operator writes it.
    public init(_ text: String) throws(RuleMistake) {
        guard let fact = CertificateFact(rawValue: text) else {
            throw RuleMistake("\(quoted(text)) is nothing that is known of a certificate: accepted are \(Self.accepted)")
        }
        self = fact
    }

    public static let accepted = allCases.map(\.rawValue).joined(separator: ", ")

    /// The value in the form in which certificates are compared by it.
    func normal(_ text: String) throws(RuleMistake) -> String {
        switch self {
        case .subject, .uri, .email: return text
        case .dns: return text.lowercasedASCII
        case .fingerprint:
            let digits = text.lowercased().filter { $0 != ":" }
            guard digits.utf8.count == 64, digits.utf8.allSatisfy({ $0.hexadecimalValue != nil }) else {
                throw RuleMistake("\(quoted(text)) is no fingerprint: accepted is a SHA-256 of 64 hexadecimal digits, with or without colons")
            }
            return digits
        }
    }
}

/// A client's certificate, as places in the bytes of its request. A class, since most requests have none.
public final class CertificateParts: Sendable {
    public struct Name: Sendable {
        let kind: CertificateFact
        let text: Range<Int>

        public init(_ kind: CertificateFact, _ text: Range<Int>) {
            self.kind = kind
            self.text = text
        }
    }

    /// The bytes of the digest.
    let fingerprint: Range<Int>
    let subject: Range<Int>
    let names: [Name]

    public init(fingerprint: Range<Int>, subject: Range<Int>, names: [Name]) {
        self.fingerprint = fingerprint
        self.subject = subject
        self.names = names
    }
}

extension RequestView {
    /// A fact of the certificate: a text, or a list of them. Nil where there is no certificate, or it has no such names.
    public func certificate(_ fact: CertificateFact) -> JSONValue? {
        guard let certificate = parts.certificate else { return nil }
        switch fact {
        case .subject: return .string(bytes.extracting(certificate.subject).text)
        case .fingerprint:
            let digits = ByteBuffer(capacity: 64)
            for index in certificate.fingerprint {
                digits.append(hexadecimalDigit: bytes[index] >> 4)
                digits.append(hexadecimalDigit: bytes[index])
            }
            return .string(digits.bytes.text)
        case .dns, .uri, .email:
            var names: [JSONValue] = []
            for name in certificate.names where name.kind == fact { names.append(.string(bytes.extracting(name.text).text)) }
            return names.isEmpty ? nil : .array(names)
        }
    }
}

/// A certificate that a request in a test or a tool comes with.
public struct ClientCertificate: Sendable {
    /// 32 bytes.
    public let fingerprint: [UInt8]
    public let subject: String
    public let names: [(kind: CertificateFact, text: String)]

    /// - Parameters:
    ///   - fingerprint: 64 hexadecimal digits; all zero unless given.
    public init(
        subject: String = "", fingerprint: String? = nil, dns: [String] = [], uri: [String] = [], email: [String] = []
    ) throws(RuleMistake) {
        self.subject = subject
        let digits = try fingerprint.map { text throws(RuleMistake) in try CertificateFact.fingerprint.normal(text) }
        let values = (digits ?? String(repeating: "0", count: 64)).utf8.compactMap(\.hexadecimalValue)
        self.fingerprint = stride(from: 0, to: values.count - 1, by: 2).map { values[$0] << 4 | values[$0 + 1] }
        names = dns.map { (.dns, $0.lowercasedASCII) } + uri.map { (.uri, $0) } + email.map { (.email, $0) }
    }

    /// Reads what an operator says of one: `{"subject": "CN=worker", "uri": ["spiffe://example/worker"]}`.
    public init(_ facts: JSONObject) throws(RuleMistake) {
        var texts: [CertificateFact: [String]] = [:]
        for (name, value) in facts.members {
            let fact = try CertificateFact(name)
            let values = if case .array(let elements) = value, fact.isList { elements } else { [value] }
            texts[fact] = values.compactMap(\.string)
            guard texts[fact]?.count == values.count else {
                throw RuleMistake("the certificate's \(name) is no text\(fact.isList ? " or list of them" : "")")
            }
        }
        try self.init(
            subject: texts[.subject]?.first ?? "", fingerprint: texts[.fingerprint]?.first, dns: texts[.dns] ?? [],
            uri: texts[.uri] ?? [], email: texts[.email] ?? [])
    }
}
