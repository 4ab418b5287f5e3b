import Bytes

/// What is left of query and cookies without the credentials in them: no upstream is to see one, wherever else the same was
/// found.
struct StrippedRequest: Sendable {
    /// Nil where none was in the query.
    let remainingQuery: [UInt8]?
    /// The other cookies, as the value of one field (RFC 9113 §8.2.3 joins them likewise), empty where there are none. Nil where
    /// none was a cookie.
    let remainingCookies: [UInt8]?
}

extension CredentialRules {
    /// Nil where all were found in headers of their own.
    func stripCredentials(from request: borrowing RequestView) -> StrippedRequest? {
        guard includesQuery || cookieHeader != nil else { return nil }
        let query = remainingQuery(request.parts, request.bytes)
        let cookies = remainingCookies(request.parts, request.bytes)
        return query == nil && cookies == nil ? nil : StrippedRequest(remainingQuery: query, remainingCookies: cookies)
    }

    private func remainingQuery(_ request: RequestParts, _ bytes: Span<UInt8>) -> [UInt8]? {
        guard let query = request.query, includesQuery else { return nil }
        var rest: [UInt8] = []
        var hasCredential = false
        for pair in Pairs(query, separator: UInt8(ascii: "&"), in: bytes) {
            guard !isParameter(bytes.extracting(pair.name)) else {
                hasCredential = true
                continue
            }
            if !rest.isEmpty { rest.append(UInt8(ascii: "&")) }
            rest += bytes.extracting(pair.whole).array
        }
        return hasCredential ? rest : nil
    }

    private func isParameter(_ name: Span<UInt8>) -> Bool {
        for place in places where place.isParameter {
            let own = place.name
            if name.isForm(of: own.span) { return true }
        }
        return false
    }

    private func remainingCookies(_ request: RequestParts, _ bytes: Span<UInt8>) -> [UInt8]? {
        guard let header = cookieHeader else { return nil }
        var rest: [UInt8] = []
        var hasCredential = false
        for field in request.headers where bytes.extracting(field.name).equals(header.span) {
            for pair in Pairs(field.value, separator: UInt8(ascii: ";"), in: bytes) {
                let whole = bytes.withoutBlanks(pair.whole)
                guard !whole.isEmpty else { continue }
                guard !isCookie(bytes.extracting(bytes.withoutBlanks(pair.name))) else {
                    hasCredential = true
                    continue
                }
                if !rest.isEmpty { rest += [UInt8(ascii: ";"), UInt8(ascii: " ")] }
                rest += bytes.extracting(whole).array
            }
        }
        return hasCredential ? rest : nil
    }

    private func isCookie(_ name: Span<UInt8>) -> Bool {
        for place in places where place.isCookie {
            let own = place.name
            if name.equals(own.span) { return true }
        }
        return false
    }
}
