import JSON

/// What kinds of denial there are, each with an answer of its own.
public enum DenialKind: String, CaseIterable, Sendable {
    /// The request can't be understood, or has credentials that contradict each other.
    case malformed
    /// No credentials, or such that are no good.
    case unauthorized
    /// Good credentials that don't suffice.
    case forbidden
    /// A limit is used up.
    case limited
    /// Something that the decision needs can't be asked at the moment.
    case unavailable
    /// The daemon itself went wrong.
    case failed

    public var defaultStatus: UInt16 {
        switch self {
        case .malformed: 400
        case .unauthorized: 401
        case .forbidden: 403
        case .limited: 429
        case .unavailable: 503
        case .failed: 500
        }
    }
}

/// How one kind of denial is answered.
public struct DenialResponse: Sendable {
    public enum Body: Sendable {
        /// `{"error":"Forbidden","message":"…"}`, and `resetAt` where a limit denied it.
        case json
        /// Problem details (RFC 9457).
        case problem
        /// What an operator wrote, with variables.
        case custom(contentType: String, text: String)
    }

    /// The HTTP status.
    public let status: UInt16
    /// The value of `Content-Type`.
    public let contentType: [UInt8]
    /// Headers of the answer beside those that every denial of the kind has.
    public let headers: [HeaderOperation]
    public let body: Template

    /// - Parameters:
    ///   - status: nil: the kind's own.
    ///   - path: the rule's pattern, whose captures may stand in a custom body.
    /// - Throws: for a status outside 400 to 599, a content type that is none, or a body that can't be used.
    public init(
        _ kind: DenialKind, status: Int? = nil, body: Body = .json, headers: [HeaderOperation] = [], path: PathPattern? = nil
    ) throws(RuleMistake) {
        let status = status ?? Int(kind.defaultStatus)
        guard (400...599).contains(status) else {
            throw RuleMistake("the status \(status) is none of a denial: accepted are 400 to 599")
        }
        self.status = UInt16(status)
        self.headers = headers
        switch body {
        case .json:
            contentType = Array("application/json".utf8)
            self.body = Self.json(self.status)
        case .problem:
            contentType = Array("application/problem+json".utf8)
            self.body = Self.problem(kind, self.status)
        case .custom(let type, let text):
            contentType = try Self.contentType(type)
            self.body = try Template(body: text, contentType: type, path: path)
        }
    }

    private static func contentType(_ text: String) throws(RuleMistake) -> [UInt8] {
        let bytes = Array(text.utf8)
        let parts = text.prefix { $0 != ";" && $0 != " " }.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard HeaderValue.isFit(bytes.span), parts.count == 2, parts.allSatisfy({ !$0.isEmpty && $0.allSatisfy(Characters.isToken) }) else {
            throw RuleMistake("\(quoted(text)) is no content type, as in text/plain; charset=utf-8")
        }
        return bytes
    }

    private static func json(_ status: UInt16) -> Template {
        let start = #"{"error":"\#(StatusPhrase.text(status))","message":""#
        return Template(
            parts: [
                .literal(Array(start.utf8)), .variable(.denial(.message), default: nil), .literal([UInt8(ascii: "\"")]),
                .variable(.denialMember(.resetAt), default: nil), .literal([UInt8(ascii: "}")]),
            ], place: .body(.json))
    }

    private static func problem(_ kind: DenialKind, _ status: UInt16) -> Template {
        // A type of one's own has a title of its own; `about:blank` has the status's (RFC 9457 §4.2.1).
        let (type, title) =
            kind == .limited
            ? ("https://iana.org/assignments/http-problem-types#quota-exceeded", "Request cannot be satisfied as assigned quota has been exceeded")
            : ("about:blank", StatusPhrase.text(status))
        let start = #"{"type":"\#(type)","title":"\#(title)","status":\#(status),"detail":""#
        return Template(
            parts: [
                .literal(Array(start.utf8)), .variable(.denial(.message), default: nil), .literal([UInt8(ascii: "\"")]),
                .variable(.denialMember(.violatedPolicies), default: nil), .literal([UInt8(ascii: "}")]),
            ], place: .body(.json))
    }
}
