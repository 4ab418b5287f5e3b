import Bytes
import JSON

/// A header of the request that tells the upstream what a token claims. Where the token has no such claim, and there is no
/// default, the header is removed, so that a client's own never takes its place. A class, since every token is asked for its headers.
public final class ClaimHeader: Sendable {
    /// What the claim has to be.
    public enum Form: Sendable {
        /// A text.
        case text
        /// A text that is not empty, or a whole number.
        case identifier
        /// A text, a number, `true` or `false`, or a list of them; null is as if it were missing.
        case list(separator: [UInt8])
    }

    public let name: HeaderName
    /// The first that is there counts.
    public let claims: [ClaimPath]
    public let form: Form
    public let defaultValue: [UInt8]?
    /// Whether a token without it is refused.
    public let isRequired: Bool

    /// - Throws: without a claim, or with a default that no header may have.
    public init(
        _ name: HeaderName, claims: [ClaimPath], form: Form? = nil, separator: String = ",", default defaultValue: String? = nil,
        isRequired: Bool = false
    ) throws(RuleMistake) {
        guard !claims.isEmpty else { throw RuleMistake("the header \(quoted(name.description)) has no claim") }
        let value = defaultValue.map { Array($0.utf8) }
        if let value, !HeaderValue.isFit(value.span) {
            throw RuleMistake("the header \(quoted(name.description)) has a default with a control character, or a blank at an end, which no header may have")
        }
        self.name = name
        self.claims = claims
        let separator = try ListSeparator.bytes(separator)
        self.form = form ?? .list(separator: separator)
        self.defaultValue = value
        self.isRequired = isRequired
    }

    /// - Parameter buffer: where the value is appended, if there is one to set.
    func evaluate(_ claims: JSONObject, to buffer: ByteBuffer) -> HeaderOutcome {
        let start = buffer.count
        for path in self.claims {
            guard let value = path.value(in: claims) else { continue }
            switch append(value, to: buffer) {
            case .missing: continue
            case .value where HeaderValue.isFit(buffer.bytes.extracting(start..<buffer.count)): return .set
            case .value, .unfit:
                buffer.truncate(to: start)
                return .unfit
            }
        }
        if let defaultValue {
            buffer.append(defaultValue)
            return .set
        }
        return isRequired ? .unfit : .remove
    }

    private func append(_ value: JSONValue, to buffer: ByteBuffer) -> Rendering {
        switch (form, value) {
        case (.list(let separator), _): return value.appendText(separator: separator, to: buffer)
        case (.identifier, .string(let text)) where text.isEmpty: return .unfit
        case (.text, .string), (.identifier, .string): return value.appendScalar(to: buffer)
        case (.identifier, .number(let number)):
            guard let digits = number.wholeDigits else { return .unfit }
            buffer.append(digits)
            return .value
        case (.text, _), (.identifier, _): return .unfit
        }
    }
}

extension ClaimHeader {
    /// The identity that upstreams are told unless an operator says otherwise: ``identity(subject:)`` of the usual subject.
    public static let identity: [ClaimHeader] = {
        do throws(RuleMistake) { return try identity(subject: Identity.subjectClaims) } catch { preconditionFailure(error.description) }
    }()

    /// `x-user-id`, who it is; `x-user-email` from `email`; `x-user-role` from `role`, or `user`.
    ///
    /// - Parameter claims: those that name the subject, as ``Identity`` takes them. An API key's stands in `sub`, unless an attribute has such a
    ///   name.
    public static func identity(subject claims: [ClaimPath]) throws(RuleMistake) -> [ClaimHeader] {
        let ofAPIKeys = ClaimPath(name: "sub")
        return [
            try ClaimHeader(
                HeaderName("x-user-id"), claims: claims.contains(ofAPIKeys) ? claims : claims + [ofAPIKeys], form: .identifier,
                isRequired: true),
            try ClaimHeader(HeaderName("x-user-email"), claims: [ClaimPath(name: "email")], form: .text),
            try ClaimHeader(HeaderName("x-user-role"), claims: [ClaimPath(name: "role")], form: .text, default: "user"),
        ]
    }
}

extension JSONNumber {
    /// The digits of a whole number of any length; nil for one written with a fraction or an exponent, as whose the spelling of
    /// an id would be anybody's guess.
    var wholeDigits: [UInt8]? {
        let text = Array(self.text.utf8)
        let digits = text.first == UInt8(ascii: "-") ? text.dropFirst() : text[...]
        guard digits.allSatisfy(Characters.isDigit) else { return nil }
        return digits.elementsEqual("0".utf8) ? Array(digits) : text
    }
}
