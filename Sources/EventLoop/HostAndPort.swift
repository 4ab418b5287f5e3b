/// A host and a port as people write them: `example.com:443`, an IPv6 address in brackets, `[::1]:443` (RFC 3986 §3.2.2).
public struct HostAndPort: Equatable, Sendable {
    /// Without brackets, and not empty. Whether it is one is not looked at.
    public let host: String
    /// 0 to 65,535.
    public let port: Int

    /// - Parameter defaultPort: where the text names none; without it, it has to.
    public init?(_ text: some StringProtocol, defaultPort: Int? = nil) {
        var (host, digits) = (Substring(text), Substring?.none)
        // Which of several colons comes before the port only brackets can say.
        if let colon = host.lastIndex(of: ":"), !host.hasSuffix("]") {
            digits = host[host.index(after: colon)...]
            host = host[..<colon]
        }
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
            guard host.contains(":") else { return nil }
        } else if host.contains(":") {
            return nil
        }
        guard !host.isEmpty, let port = digits.map(Self.port) ?? defaultPort else { return nil }
        self.host = String(host)
        self.port = port
    }

    /// Digits alone: `Int` would take a sign.
    private static func port(_ digits: Substring) -> Int? {
        guard (1...5).contains(digits.utf8.count), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return Int(digits).flatMap { $0 <= 65_535 ? $0 : nil }
    }
}
