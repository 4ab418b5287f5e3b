import Bytes

extension CredentialRules {
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
