import JSON

/// As whom a request is made: what a verified token or a known API key says of its owner. Nobody, where none was asked for.
public final class Identity: Sendable {
    public enum Kind: Sendable, Equatable {
        case anonymous
        /// Of the issuer with this place in the configuration.
        case token(issuer: Int)
        /// By the key's digest in hexadecimal digits.
        case apiKey(id: String)
    }

    public let kind: Kind
    /// Who: not empty, and such that a header may carry it. Nil for nobody.
    public let subject: [UInt8]?
    /// What a token says; of an API key the attributes, with its subject as `sub`.
    public let claims: JSONObject

    public static let anonymous = Identity()

    /// The claims that name a token's subject, unless an operator says otherwise.
    public static let subjectClaims = [ClaimPath(name: "userId"), ClaimPath(name: "sub")]

    private init() {
        kind = .anonymous
        subject = nil
        claims = JSONObject()
    }

    /// Reads the claims of a token whose signature and times hold.
    ///
    /// - Parameter subjectClaims: the first of these that is there is the subject: a string, or a whole number.
    /// - Returns: nil where there is none, or one that no header may carry.
    public init?(claims: JSONObject, issuer: Int = 0, subjectClaims: [ClaimPath] = Identity.subjectClaims) {
        guard let claim = subjectClaims.lazy.compactMap({ $0.value(in: claims) }).first, let subject = Self.subject(claim) else { return nil }
        kind = .token(issuer: issuer)
        self.subject = subject
        self.claims = claims
    }

    /// The owner of an API key.
    ///
    /// - Returns: nil for a subject that no header may carry.
    public init?(apiKey id: String, subject: String, attributes: JSONObject) {
        guard let bytes = Self.subject(.string(subject)) else { return nil }
        kind = .apiKey(id: id)
        self.subject = bytes
        claims = JSONObject(attributes.members.filter { $0.name != "sub" } + [("sub", .string(subject))])
    }

    private static func subject(_ claim: JSONValue) -> [UInt8]? {
        let text: [UInt8]? = switch claim {
        case .string(let text): Array(text.utf8)
        case .number(let number): number.wholeDigits
        default: nil
        }
        guard let text, !text.isEmpty, HeaderValue.isFit(text.span) else { return nil }
        return text
    }

    /// Who it is counted for.
    var counted: LimitSubject {
        var id: [UInt8]?
        if case .apiKey(let key) = kind { id = Array(key.utf8) }
        return LimitSubject(subject: subject, apiKey: id, claims: claims)
    }

    var isToken: Bool { if case .token = kind { true } else { false } }
}
