import Bytes
import JSON

/// Text with variables, as in `${claim.sub}`: the value of a header, or the body of a denial.
///
/// | variable | is |
/// | --- | --- |
/// | `claim.PATH` | a claim; a list with a separator between its elements |
/// | `request.method`, `request.path`, `request.query` | as the request is forwarded; the query without its question mark |
/// | `request.host` | in lower case, without a port |
/// | `path.NAME` | the segment that the rule's `{NAME}` matches, its escapes as they are |
/// | `client.ip` | the client's address |
/// | `header.NAME` | a header of the request; of several, all, with `, ` between them (RFC 9110 §5.3) |
/// | `certificate.subject`, `certificate.fingerprint` | of the client's certificate; `.dns`, `.uri`, `.email` are its names, a list |
/// | `denial.reason`, `denial.message`, `denial.retry_after`, `denial.reset_at` | in denials only |
///
/// `${NAME:-text}` is `text` where the value is missing or empty; the text ends at the first `}`. `$${` is `${`.
public struct Template: Sendable {
    enum Part: Sendable {
        case literal([UInt8])
        /// With the default, where there is one, as it is to be appended.
        case variable(Variable, default: [UInt8]?)
    }

    enum Variable: Sendable {
        case claim(ClaimPath)
        case method
        case host
        case path
        case query
        case segment(Int)
        case clientAddress
        case header([UInt8])
        case certificate(CertificateFact)
        case denial(DenialVariable)
        case denialMember(DenialMember)
    }

    /// Where the text will stand.
    enum Place: Sendable {
        case header
        case body(TextEscaping)
    }

    let parts: [Part]
    let place: Place
    private let separator: [UInt8]

    init(parts: [Part], place: Place, separator: [UInt8] = ListSeparator.comma) {
        self.parts = parts
        self.place = place
        self.separator = separator
    }

    /// Reads the value of a header.
    ///
    /// - Parameters:
    ///   - pattern: the rule's, whose captures may stand in the text.
    ///   - separator: what stands between the elements of a list.
    ///   - isDenial: whether the text is for a denial.
    /// - Throws: for an unknown variable, or a text that no header may have.
    public init(header text: String, path pattern: PathPattern? = nil, separator: String = ",", isDenial: Bool = false) throws(RuleMistake) {
        try self.init(text, .header, pattern, separator: try ListSeparator.bytes(separator), isDenial: isDenial)
        let sample = sample
        guard HeaderValue.isFit(sample.span) else {
            throw RuleMistake("the template \(quoted(text)) has a control character, or a blank at an end, which no header may have")
        }
    }

    /// Reads the body of a denial. A value is written into it as its content type needs.
    public init(body text: String, contentType: String, path pattern: PathPattern? = nil) throws(RuleMistake) {
        let escaping = TextEscaping(contentType: contentType)
        try self.init(text, .body(escaping), pattern, separator: ListSeparator.comma, isDenial: true)
        guard case .json = escaping else { return }
        do throws(JSONError) {
            let sample = sample
            _ = try JSONValue.parse(sample.span)
        } catch {
            throw RuleMistake("the body is no JSON, in which variables may stand within quotes only: \(error) with x in place of each variable")
        }
    }

    private init(
        _ text: String, _ place: Place, _ pattern: PathPattern?, separator: [UInt8], isDenial: Bool
    ) throws(RuleMistake) {
        guard text.utf8.count <= RuleLimits.templateBytes else {
            throw RuleMistake("a template has \(text.utf8.count) bytes, more than \(RuleLimits.templateBytes)")
        }
        var reader = TemplateReader(Array(text.utf8), place: place, pattern: pattern, isDenial: isDenial)
        do throws(RuleMistake) {
            self.init(parts: try reader.parts(), place: place, separator: separator)
        } catch {
            throw RuleMistake("the template \(quoted(text)) \(error.description)")
        }
    }

    /// The text with `x` for each variable.
    private var sample: [UInt8] {
        parts.flatMap { if case .literal(let text) = $0 { text } else { Array("x".utf8) } }
    }

    private var variables: [Variable] {
        parts.compactMap { if case .variable(let variable, _) = $0 { variable } else { nil } }
    }

    /// Whether it can come out differently for two requests of one identity.
    public var dependsOnRequest: Bool {
        variables.contains {
            switch $0 {
            case .method, .host, .path, .query, .segment, .clientAddress, .header, .certificate: true
            case .claim, .denial, .denialMember: false
            }
        }
    }

    public var dependsOnClaims: Bool { variables.contains { if case .claim = $0 { true } else { false } } }

    /// The request's headers that are needed.
    public var headerNames: [[UInt8]] { variables.compactMap { if case .header(let name) = $0 { name } else { nil } } }

    // MARK: Rendering

    /// Appends the text to `buffer`. In a body a missing value is nothing; a header then has none at all.
    func render(
        request: borrowing RequestView, claims: JSONObject, denial: DenialFacts? = nil, to buffer: ByteBuffer
    ) -> Rendering {
        let start = buffer.count
        for part in parts {
            switch part {
            case .literal(let text): buffer.append(text)
            case .variable(let variable, let defaultText):
                let outcome = append(variable, request: request, claims: claims, denial: denial, defaultText, to: buffer)
                guard outcome == .value else {
                    buffer.truncate(to: start)
                    return outcome
                }
            }
        }
        guard case .header = place else { return .value }
        guard HeaderValue.isFit(buffer.bytes.extracting(start..<buffer.count)) else {
            buffer.truncate(to: start)
            return .unfit
        }
        return .value
    }

    private func append(
        _ variable: Variable, request: borrowing RequestView, claims: JSONObject, denial: DenialFacts?, _ defaultText: [UInt8]?,
        to buffer: ByteBuffer
    ) -> Rendering {
        let start = buffer.count
        let outcome = appendValue(of: variable, request: request, claims: claims, denial: denial, to: buffer)
        if let defaultText, outcome == .missing || outcome == .value && buffer.count == start {
            buffer.append(defaultText)
            return .value
        }
        // A body has to be made of what there is.
        if case .body = place { return .value }
        return outcome
    }

    private func appendValue(
        of variable: Variable, request: borrowing RequestView, claims: JSONObject, denial: DenialFacts?, to buffer: ByteBuffer
    ) -> Rendering {
        let escaping = if case .body(let escaping) = place { escaping } else { TextEscaping.none }
        switch variable {
        case .claim(let path):
            guard let value = path.value(in: claims) else { return .missing }
            return value.appendText(separator: separator, escaping: escaping, to: buffer)
        case .method:
            escaping.append(request.method, to: buffer)
        case .path:
            escaping.append(request.path, to: buffer)
        case .query:
            guard request.query.count > 0 else { return .missing }
            escaping.append(request.query, to: buffer)
        case .clientAddress:
            guard request.clientAddress.count > 0 else { return .missing }
            escaping.append(request.clientAddress, to: buffer)
        case .host:
            let authority = request.authority
            let host = HostPattern.host(of: authority)
            guard !host.isEmpty else { return .missing }
            let name = host.map { authority[$0].lowercasedASCII }
            escaping.append(name.span, to: buffer)
        case .segment(let index):
            guard let range = PathPattern.segment(index, of: request.path) else { return .missing }
            escaping.append(request.path.extracting(range), to: buffer)
        case .header(let name): return request.appendHeader(name, escaping: escaping, to: buffer)
        case .certificate(let fact):
            guard let value = request.certificate(fact) else { return .missing }
            return value.appendText(separator: separator, escaping: escaping, to: buffer)
        case .denial(let variable): return denial?.append(variable, escaping: escaping, to: buffer) ?? .missing
        case .denialMember(let member): denial?.append(member, to: buffer)
        }
        return .value
    }
}

extension RequestView {
    /// Appends the values of a header, with `, ` between them (RFC 9110 §5.3).
    func appendHeader(_ name: [UInt8], escaping: TextEscaping = .none, to buffer: ByteBuffer) -> Rendering {
        var count = 0
        while let value = header(name.span, at: count) {
            if count > 0 { buffer.append(", ") }
            escaping.append(value, to: buffer)
            count += 1
        }
        return count > 0 ? .value : .missing
    }
}

/// What stands between the elements of a list in a header.
enum ListSeparator {
    static let comma = [UInt8(ascii: ",")]

    static func bytes(_ text: String) throws(RuleMistake) -> [UInt8] {
        let bytes = Array(text.utf8)
        guard (1...8).contains(bytes.count), bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) else {
            throw RuleMistake("the separator \(quoted(text)) is none: accepted are 1 to 8 bytes without control characters, as in \",\"")
        }
        return bytes
    }
}
