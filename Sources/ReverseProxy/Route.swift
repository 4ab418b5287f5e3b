/// A part of the path space and where its requests go.
public struct Route: Sendable, Equatable {
    /// A path in normal form; it stands for itself and for all below it.
    public var prefix: String
    public var upstream: Upstream
    /// Whether `%2f` may stand in a path of this route, as part of its segment. Elsewhere it is refused.
    public var allowsEncodedSlash = false

    public init(prefix: String, upstream: Upstream, allowsEncodedSlash: Bool = false) {
        self.prefix = prefix
        self.upstream = upstream
        self.allowsEncodedSlash = allowsEncodedSlash
    }
}

/// A service behind the proxy.
public struct Upstream: Sendable, Equatable {
    /// As the operator wrote it, for messages.
    public var url: String
    /// A name or an address, an IPv6 one without its brackets.
    public var host: String
    public var port: Int

    public init(url: String, host: String, port: Int) {
        self.url = url
        self.host = host
        self.port = port
    }

    /// The value of `Host` (RFC 9110 §7.2): the default port goes without saying.
    public var authority: [UInt8] {
        let name = host.contains(":") ? "[\(host)]" : host
        return Array((port == 80 ? name : "\(name):\(port)").utf8)
    }
}

extension ProxyConfiguration {
    /// The three services that the gateway stands in front of when it is told nothing else.
    static let builtInRoutes = [
        Route(prefix: "/api/projects", upstream: Upstream(url: "http://localhost:3001", host: "localhost", port: 3001)),
        Route(prefix: "/api/users", upstream: Upstream(url: "http://localhost:3002", host: "localhost", port: 3002)),
        Route(prefix: "/api/analytics", upstream: Upstream(url: "http://localhost:3003", host: "localhost", port: 3003)),
    ]
}
