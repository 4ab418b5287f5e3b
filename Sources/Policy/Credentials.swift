import Bytes

/// Where a request may carry a credential.
public enum CredentialSource: Sendable, Hashable {
    /// A header; where it has a scheme (RFC 9110 §11.4), the credential is what follows that. The name is in lower case.
    case header(name: String, scheme: String?)
    case cookie(name: String)
    /// A parameter of the query.
    case query(name: String)
}

/// What a credential claims to be.
public enum CredentialKind: Sendable, Hashable {
    case token
    case apiKey
}

/// A credential that a request carries.
public struct Credential: Sendable, Equatable {
    public let kind: CredentialKind
    /// Where it lies in the request's bytes.
    public let range: Range<Int>
}

/// What a request carries of credentials.
public enum Credentials: Sendable, Equatable {
    case none
    case one(Credential)
    /// Two of them, which two readers could understand differently.
    case repeated
}

/// Where credentials are looked for.
public final class CredentialRules: Sendable {
    /// One place, as bytes to compare.
    final class Place: Sendable {
        let kind: CredentialKind
        let source: CredentialSource
        /// The header to look at; empty for a parameter of the query.
        let header: [UInt8]
        /// Scheme, cookie or parameter.
        let name: [UInt8]

        init(_ kind: CredentialKind, _ source: CredentialSource) {
            self.kind = kind
            self.source = source
            switch source {
            case .header(let name, let scheme): (header, self.name) = (Array(name.utf8), Array((scheme ?? "").utf8))
            case .cookie(let name): (header, self.name) = (Array("cookie".utf8), Array(name.utf8))
            case .query(let name): (header, self.name) = ([], Array(name.utf8))
            }
        }
    }

    let places: [Place]
    /// Whether one may stand in the query.
    let includesQuery: Bool
    /// Where cookies that may be one stand; nil where none may be.
    let cookieHeader: [UInt8]?
    /// The headers that have to be known to find one, in lower case.
    public let wantedHeaders: [String]
    /// The headers that carry nothing but a credential: no upstream is to see them.
    let credentialHeaders: [[UInt8]]

    public init(tokens: [CredentialSource] = [.header(name: "authorization", scheme: "Bearer")], apiKeys: [CredentialSource] = []) {
        let places = tokens.map { Place(.token, $0) } + apiKeys.map { Place(.apiKey, $0) }
        var wanted: [String] = []
        var carrying: [[UInt8]] = []
        for place in places where !place.header.isEmpty {
            let name = String(decoding: place.header, as: UTF8.self)
            if !wanted.contains(name) { wanted.append(name) }
            if !place.isCookie, !carrying.contains(place.header) { carrying.append(place.header) }
        }
        self.places = places
        includesQuery = places.contains(where: \.isParameter)
        cookieHeader = places.first(where: \.isCookie)?.header
        wantedHeaders = wanted
        credentialHeaders = carrying
    }

    /// Where a credential of this kind is looked for first; nil where none is.
    public func firstSource(of kind: CredentialKind) -> CredentialSource? { places.first { $0.kind == kind }?.source }

    /// Looks in every place. The same credential twice is one; two that differ, and one place filled twice, are refused.
    public func find(_ request: borrowing RequestView) -> Credentials {
        let bytes = request.bytes
        var found: Credential?
        for index in places.indices {
            switch places[index].look(in: request.parts, bytes) {
            case .nothing: continue
            case .repeated: return .repeated
            case .one(let range):
                let credential = Credential(kind: places[index].kind, range: range)
                guard let other = found else {
                    found = credential
                    continue
                }
                guard other.kind == credential.kind, bytes.extracting(other.range).equals(bytes.extracting(range)) else {
                    return .repeated
                }
            }
        }
        return found.map(Credentials.one) ?? .none
    }
}

extension CredentialRules.Place {
    /// What one place holds.
    enum Content {
        case nothing
        case one(Range<Int>)
        case repeated
    }

    var isCookie: Bool {
        if case .cookie = source { true } else { false }
    }

    var isParameter: Bool {
        if case .query = source { true } else { false }
    }

    func look(in request: RequestParts, _ bytes: Span<UInt8>) -> Content {
        switch source {
        case .header: header(of: request, bytes, hasScheme: !name.isEmpty)
        case .cookie: cookie(of: request, bytes)
        case .query: parameter(of: request, bytes)
        }
    }

    /// More than one field of the name is refused whatever it holds.
    private func header(of request: RequestParts, _ bytes: Span<UInt8>, hasScheme: Bool) -> Content {
        let (field, own) = (self.header, name)
        var found: Range<Int>?
        for header in request.headers where bytes.extracting(header.name).equals(field.span) {
            guard found == nil else { return .repeated }
            found = header.value
        }
        guard let found else { return .nothing }
        var value = bytes.withoutBlanks(found)
        if hasScheme {
            guard value.count > own.count, bytes.extracting(value.lowerBound..<value.lowerBound + own.count).isEqualIgnoringCase(to: own.span)
            else { return .nothing }
            var start = value.lowerBound + own.count
            guard bytes[start] == UInt8(ascii: " ") else { return .nothing }
            while start < value.upperBound, bytes[start] == UInt8(ascii: " ") { start += 1 }
            value = start..<value.upperBound
        }
        return value.isEmpty ? .nothing : .one(value)
    }

    /// RFC 6265 §4.2.1: pairs between semicolons, in one field or several.
    private func cookie(of request: RequestParts, _ bytes: Span<UInt8>) -> Content {
        let (field, own) = (self.header, name)
        var content = Content.nothing
        for header in request.headers where bytes.extracting(header.name).equals(field.span) {
            for pair in Pairs(header.value, separator: UInt8(ascii: ";"), in: bytes) {
                let name = bytes.withoutBlanks(pair.name)
                guard let value = pair.value, bytes.extracting(name).equals(own.span) else { continue }
                guard case .nothing = content else { return .repeated }
                content = .one(bytes.withoutQuotes(bytes.withoutBlanks(value)))
            }
        }
        if case .one(let range) = content, range.isEmpty { return .nothing }
        return content
    }

    private func parameter(of request: RequestParts, _ bytes: Span<UInt8>) -> Content {
        let own = name
        guard let query = request.query else { return .nothing }
        var content = Content.nothing
        for pair in Pairs(query, separator: UInt8(ascii: "&"), in: bytes) where bytes.extracting(pair.name).isForm(of: own.span) {
            guard case .nothing = content else { return .repeated }
            content = .one(pair.value ?? pair.name.upperBound..<pair.name.upperBound)
        }
        if case .one(let range) = content, range.isEmpty { return .nothing }
        return content
    }
}

/// The `name=value` pairs of a text with one separator, one after the other.
struct Pairs: Sequence, IteratorProtocol {
    struct Pair {
        let whole: Range<Int>
        let name: Range<Int>
        /// Nil where there is no equals sign.
        let value: Range<Int>?
    }

    private var ends: [(end: Int, equals: Int?)] = []
    private var start: Int
    private var index = 0

    init(_ range: Range<Int>, separator: UInt8, in bytes: Span<UInt8>) {
        start = range.lowerBound
        var equals: Int?
        for index in range {
            if bytes[index] == separator {
                ends.append((index, equals))
                equals = nil
            } else if equals == nil, bytes[index] == UInt8(ascii: "=") {
                equals = index
            }
        }
        ends.append((range.upperBound, equals))
    }

    mutating func next() -> Pair? {
        guard index < ends.count else { return nil }
        let (end, equals) = ends[index]
        defer {
            index += 1
            start = end + 1
        }
        guard let equals else { return Pair(whole: start..<end, name: start..<end, value: nil) }
        return Pair(whole: start..<end, name: start..<equals, value: equals + 1..<end)
    }
}

extension Span where Element == UInt8 {
    /// - Parameter other: letters, digits and hyphens. 0x20 is the bit between the cases of a letter.
    func isEqualIgnoringCase(to other: Span<UInt8>) -> Bool {
        guard count == other.count else { return false }
        for index in indices where self[index] != other[index] {
            let letter = self[index] | 0x20
            guard letter == other[index] | 0x20, letter >= UInt8(ascii: "a"), letter <= UInt8(ascii: "z") else { return false }
        }
        return true
    }

    /// Whether these bytes, as a parameter's name in a query, stand for `plain`: escapes count as what they stand for.
    func isForm(of plain: Span<UInt8>) -> Bool {
        var (index, place) = (0, 0)
        while index < count {
            guard place < plain.count else { return false }
            var byte = self[index]
            index += 1
            if byte == UInt8(ascii: "+") {
                byte = UInt8(ascii: " ")
            } else if byte == UInt8(ascii: "%"), index + 1 < count, let high = self[index].hexadecimalValue, let low = self[index + 1].hexadecimalValue {
                byte = high << 4 | low
                index += 2
            }
            guard byte == plain[place] else { return false }
            place += 1
        }
        return place == plain.count
    }

    func withoutBlanks(_ range: Range<Int>) -> Range<Int> {
        var (start, end) = (range.lowerBound, range.upperBound)
        while start < end, self[start] == 0x20 || self[start] == 0x09 { start += 1 }
        while end > start, self[end - 1] == 0x20 || self[end - 1] == 0x09 { end -= 1 }
        return start..<end
    }

    /// A cookie's value may stand in quotes, which are no part of it.
    func withoutQuotes(_ range: Range<Int>) -> Range<Int> {
        guard range.count >= 2, self[range.lowerBound] == UInt8(ascii: "\""), self[range.upperBound - 1] == UInt8(ascii: "\"") else { return range }
        return range.lowerBound + 1..<range.upperBound - 1
    }
}
