import Bytes
import JSON

/// Who a request is counted for.
struct LimitSubject: Sendable {
    /// The user's id; nil where nobody is known.
    var subject: [UInt8]?
    /// The id of the API key that the request came with.
    var apiKey: [UInt8]?
    var claims: JSONObject

    init(subject: [UInt8]? = nil, apiKey: [UInt8]? = nil, claims: JSONObject = JSONObject()) {
        self.subject = subject
        self.apiKey = apiKey
        self.claims = claims
    }
}

/// What a limit counts by: its name, and any number of parts.
///
/// A key is `name|tag=value|tag=value…`, and `tag` alone for a value that is missing, which an empty one is told from by the
/// `=`. In names, tags and values `%`, `|`, `=` (but in values), blanks, control bytes and the braces are escaped as in a URL:
/// so no two combinations have the same key, and none chooses its slot in a Redis Cluster.
public struct LimitKey: Sendable {
    public enum Part: Sendable, Hashable {
        case subject
        /// An IPv6 client is counted by its network of 64 bits.
        case clientAddress
        case apiKey
        /// A text, a number or a truth value; a number counts as its text.
        case claim(ClaimPath)
        /// In lower case. Of several fields, all.
        case header([UInt8])
        /// Of the client's certificate.
        case certificate(CertificateFact)
        /// The name of the rule, so that each rule counts by itself.
        case rule
    }

    public let name: String
    public let parts: [Part]
    private let prefix: [UInt8]
    /// What stands before each part's value; of the rule's the value as well.
    private let tags: [[UInt8]]

    /// - Parameters:
    ///   - name: the limit's: 1 to ``RuleLimits/limitNameBytes`` bytes of letters, digits, `_`, `-` and dots.
    ///   - rule: the name of the rule that has the limit.
    public init(name: String, parts: [Part], rule: String) throws(RuleMistake) {
        guard (1...RuleLimits.limitNameBytes).contains(name.utf8.count),
            name.utf8.allSatisfy({ Characters.isPlain($0) || $0 == UInt8(ascii: ".") })
        else {
            throw RuleMistake("\(quoted(name)) is no name of a limit: accepted are 1 to \(RuleLimits.limitNameBytes) letters, digits, _, - and dots")
        }
        guard Set(parts).count == parts.count else { throw RuleMistake("the key of the limit \(quoted(name)) has a part twice") }
        self.name = name
        self.parts = parts
        prefix = Array(name.utf8)
        tags = parts.map { part in
            let buffer = ByteBuffer(capacity: 64)
            buffer.append(UInt8(ascii: "|"))
            buffer.append(part.tag)
            switch part {
            case .claim(let path): Self.append(escaped: Array(path.description.utf8).span, isTag: true, to: buffer)
            case .header(let name): Self.append(escaped: name.span, isTag: true, to: buffer)
            case .certificate(let fact): buffer.append(utf8: fact.rawValue)
            case .rule:
                buffer.append(UInt8(ascii: "="))
                Self.append(escaped: Array(rule.utf8).span, to: buffer)
            case .subject, .clientAddress, .apiKey: break
            }
            return buffer.bytes.array
        }
    }

    /// Whether it can come out differently for two requests of one identity.
    public var dependsOnRequest: Bool {
        parts.contains {
            switch $0 {
            case .clientAddress, .header, .certificate: true
            case .subject, .apiKey, .claim, .rule: false
            }
        }
    }

    /// Whether it is the same for all whose identity isn't known.
    public var dependsOnIdentity: Bool {
        parts.contains {
            switch $0 {
            case .subject, .apiKey, .claim: true
            case .clientAddress, .header, .certificate, .rule: false
            }
        }
    }

    /// The request's headers that are needed.
    public var headerNames: [[UInt8]] { parts.compactMap { if case .header(let name) = $0 { name } else { nil } } }

    /// Appends the key of a request to `buffer`.
    ///
    /// - Returns: false, and nothing is appended, where the key would be longer than ``RuleLimits/limitKeyBytes``, a claim is a
    ///   list or an object, or the client's address none: the request can't be counted, and must be denied.
    func append(
        of subject: LimitSubject, request: borrowing RequestView, to buffer: ByteBuffer
    ) -> Bool {
        let start = buffer.count
        buffer.append(prefix)
        for (index, part) in parts.enumerated() {
            buffer.append(tags[index])
            if case .rule = part { continue }
            let valueStart = buffer.count
            buffer.append(UInt8(ascii: "="))
            switch append(part, of: subject, request: request, to: buffer) {
            case .value: break
            case .missing: buffer.truncate(to: valueStart)
            case .unfit:
                buffer.truncate(to: start)
                return false
            }
        }
        guard buffer.count - start <= RuleLimits.limitKeyBytes else {
            buffer.truncate(to: start)
            return false
        }
        return true
    }

    private func append(
        _ part: Part, of subject: LimitSubject, request: borrowing RequestView, to buffer: ByteBuffer
    ) -> Rendering {
        let start = buffer.count
        switch part {
        case .subject:
            guard let value = subject.subject else { return .missing }
            Self.append(escaped: value.span, to: buffer)
        case .apiKey:
            guard let value = subject.apiKey else { return .missing }
            Self.append(escaped: value.span, to: buffer)
        case .clientAddress:
            guard request.clientAddress.count > 0 else { return .missing }
            guard let address = IPAddress(request.clientAddress) else { return .unfit }
            address.appendKey(to: buffer)
        case .claim(let path):
            guard let value = path.value(in: subject.claims) else { return .missing }
            return escape(value.appendScalar(to: buffer), from: start, in: buffer)
        case .header(let name): return escape(request.appendHeader(name, to: buffer), from: start, in: buffer)
        case .certificate(let fact):
            guard let value = request.certificate(fact) else { return .missing }
            return escape(value.appendScalar(to: buffer), from: start, in: buffer)
        case .rule: break
        }
        return .value
    }

    /// Escapes what was appended from `start` on.
    private func escape(_ rendering: Rendering, from start: Int, in buffer: ByteBuffer) -> Rendering {
        guard rendering == .value else { return rendering }
        for index in start..<buffer.count where Self.isSpecial(buffer[index]) {
            let value = buffer.bytes.extracting(start..<buffer.count).array
            buffer.truncate(to: start)
            Self.append(escaped: value.span, to: buffer)
            break
        }
        return .value
    }

    private static func append(escaped value: Span<UInt8>, isTag: Bool = false, to buffer: ByteBuffer) {
        for index in value.indices {
            let byte = value[index]
            if isSpecial(byte) || isTag && byte == UInt8(ascii: "=") {
                buffer.append(UInt8(ascii: "%"))
                buffer.append(hexadecimalDigit: byte >> 4)
                buffer.append(hexadecimalDigit: byte)
            } else {
                buffer.append(byte)
            }
        }
    }

    private static func isSpecial(_ byte: UInt8) -> Bool {
        switch byte {
        case ...0x20, 0x7f, UInt8(ascii: "%"), UInt8(ascii: "|"), UInt8(ascii: "{"), UInt8(ascii: "}"): true
        default: false
        }
    }
}

extension LimitKey.Part {
    /// Reads a part as an operator writes it.
    public init(_ text: String) throws(RuleMistake) {
        switch text {
        case "subject": self = .subject
        case "client.ip": self = .clientAddress
        case "api_key": self = .apiKey
        case "rule": self = .rule
        case _ where text.hasPrefix("claim."): self = .claim(try ClaimPath(inRule: String(text.dropFirst(6))))
        case _ where text.hasPrefix("header."): self = .header(try HeaderName.token(String(text.dropFirst(7))))
        case "certificate.subject": self = .certificate(.subject)
        case "certificate.fingerprint": self = .certificate(.fingerprint)
        default:
            throw RuleMistake(
                "\(quoted(text)) is no part of a limit's key: accepted are subject, client.ip, api_key, rule, claim.NAME, header.NAME, certificate.subject and certificate.fingerprint")
        }
    }

    fileprivate var tag: StaticString {
        switch self {
        case .subject: "sub"
        case .clientAddress: "ip"
        case .apiKey: "key"
        case .claim: "claim."
        case .header: "header."
        case .certificate: "certificate."
        case .rule: "rule"
        }
    }
}
