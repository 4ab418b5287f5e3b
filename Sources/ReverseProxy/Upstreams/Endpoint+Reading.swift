import Settings

extension Endpoint {
    /// What the URL of an endpoint may look like, for messages.
    static let accepted = "http[s]://host[:port], h2[c]://host[:port], no user, no path and no query, or unix:/path"

    /// Reads a URL of the ``accepted`` form; nil for anything else.
    init?(url: String) {
        if url.hasPrefix("unix:") {
            guard let path = Form<String>.socketPath.value(of: String(url.dropFirst(5))) else { return nil }
            self.init(url: url, place: .unix(path: path))
            return
        }
        guard let colon = url.firstIndex(of: ":"), let scheme = Scheme(rawValue: String(url[..<colon])), url[colon...].hasPrefix("://") else {
            return nil
        }
        let isSecure = scheme == .https || scheme == .h2
        let authority = url[colon...].dropFirst(3)
        var host = authority
        var port = isSecure ? 443 : 80
        let bracket = authority.hasPrefix("[") ? authority.firstIndex(of: "]") : nil
        let afterHost = bracket.map { authority.index(after: $0) } ?? authority.firstIndex(of: ":") ?? authority.endIndex
        if afterHost < authority.endIndex {
            guard authority[afterHost] == ":", let number = Self.port(authority[authority.index(after: afterHost)...])
            else { return nil }
            port = number
            host = authority[..<afterHost]
        }
        guard bracket == nil ? Self.isName(host) : Self.isAddress(host.dropFirst().dropLast()) else { return nil }
        self.init(url: url, host: String(bracket == nil ? host : host.dropFirst().dropLast()), port: port)
        self.isSecure = isSecure
        isHTTP2 = scheme == .h2 || scheme == .h2c
    }

    private enum Scheme: String { case http, https, h2, h2c }

    private static func port(_ digits: Substring) -> Int? {
        guard (1...5).contains(digits.utf8.count), digits.utf8.allSatisfy(isDigit), let port = Int(digits) else { return nil }
        return (1...65_535).contains(port) ? port : nil
    }

    /// A host name or an IPv4 address; `_` since container networks use it in names.
    private static func isName(_ host: Substring) -> Bool {
        !host.isEmpty && host.utf8.allSatisfy { byte in
            isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) || byte == UInt8(ascii: ".")
                || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
        }
    }

    /// An IPv6 address, held to its alphabet only: the resolver says whether it is one.
    private static func isAddress(_ host: Substring) -> Bool {
        host.utf8.count(where: { $0 == UInt8(ascii: ":") }) >= 2
            && host.utf8.allSatisfy { byte in
                isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte | 0x20) || byte == UInt8(ascii: ":")
                    || byte == UInt8(ascii: ".")
            }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
}

extension Form where Value == Endpoint {
    static var endpoint: Form {
        Form(accepted: Endpoint.accepted, concealing: Form<String>.concealCredentials) { Endpoint(url: $0) }
    }
}
