/// An address that keys may be fetched from.
struct KeyAddress: Sendable, Hashable {
    /// What is admitted beside `https`, which always is.
    enum Admission: Sendable {
        case nothing
        /// `http` to this machine: nobody stands between.
        case loopbackHTTP
        case anyHTTP
    }

    let text: String
    let isHTTPS: Bool
    private let parts: CurlURL

    init(_ text: String, admitting admission: Admission) throws(UnusableKeySource) {
        // Only what a URL is written with (RFC 3986 §2): a NUL, for one, would end it early for libcurl.
        guard text.utf8.allSatisfy({ (0x21...0x7e).contains($0) }), let parts = CurlURL(text) else {
            // It may hold a password all the same.
            let shown = text.contains("@") ? "the address" : String(text.prefix { $0 != "?" }).debugDescription
            throw UnusableKeySource("\(shown) is no absolute URL: https://host/path is accepted")
        }
        self.text = text
        self.parts = parts
        isHTTPS = parts.scheme == "https"
        switch parts.scheme {
        case "https": return
        case "http":
            guard admission == .anyHTTP || admission == .loopbackHTTP && Self.isLoopback(parts.host) else {
                throw UnusableKeySource("\(self) is not https: http is accepted to a loopback address only, or where it is allowed explicitly")
            }
        default: throw UnusableKeySource("\(self) is neither https nor http")
        }
    }

    /// The address of an issuer's document (OpenID Connect Discovery 1.0 §4.1).
    init(discoveryOf issuer: String, admitting admission: Admission) throws(UnusableKeySource) {
        let address = try KeyAddress(issuer, admitting: admission)
        guard !issuer.contains("?"), !issuer.contains("#"), !issuer.contains("@") else {
            throw UnusableKeySource("the issuer \(address) has a query, a fragment or a user: https://host/path is accepted")
        }
        let base = issuer.hasSuffix("/") ? String(issuer.dropLast()) : issuer
        try self.init(base + "/.well-known/openid-configuration", admitting: admission)
    }

    private static func isLoopback(_ host: String) -> Bool {
        let numbers = host.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        let isLoopback4 = numbers.count == 4 && numbers[0] == 127 && !numbers.contains(nil)
        return isLoopback4 || host == "localhost" || host == "[::1]"
    }
}

extension KeyAddress: CustomStringConvertible {
    /// Without user, password, query and fragment: what may stand in a log.
    var description: String { "\(parts.scheme)://\(parts.host)\(parts.port.map { ":\($0)" } ?? "")\(parts.path)" }
}
