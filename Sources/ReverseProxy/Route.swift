/// A part of the path space and where its requests go.
public struct Route: Sendable, Equatable {
    /// A path in normal form; it stands for itself and for all below it.
    public var prefix: String
    public var upstream: Upstream
    /// Whether `%2f` may stand in a path of this route, as part of its segment. Elsewhere it is refused.
    public var allowsEncodedSlash = false
    /// Whether a request may become a WebSocket: whatever its messages say, nobody is asked about them. Elsewhere an upgrade is passed over.
    public var allowsWebSocket = false
    /// Before the upstream's own.
    public var timeouts = UpstreamTimeouts()

    public init(prefix: String, upstream: Upstream, allowsEncodedSlash: Bool = false) {
        self.prefix = prefix
        self.upstream = upstream
        self.allowsEncodedSlash = allowsEncodedSlash
    }
}

extension ProxyConfiguration {
    /// The three services that the gateway stands in front of when it is told nothing else.
    static let builtInRoutes = [
        Route(prefix: "/api/projects", upstream: Upstream(Endpoint(url: "http://localhost:3001", host: "localhost", port: 3001))),
        Route(prefix: "/api/users", upstream: Upstream(Endpoint(url: "http://localhost:3002", host: "localhost", port: 3002))),
        Route(prefix: "/api/analytics", upstream: Upstream(Endpoint(url: "http://localhost:3003", host: "localhost", port: 3003))),
    ]
}
