/// A service behind the proxy: one endpoint or several, and what is done when they fail.
public struct Upstream: Sendable, Equatable {
    /// As the operator calls it; the URL, where a route names no more than that.
    public var name: String
    /// One at least, and no more than ``maximumEndpoints``.
    public var endpoints: [Endpoint]
    public var balancing = Balancing.roundRobin
    public var retries = Retries()
    public var ejection: EjectionRules?
    public var healthCheck: HealthCheckRules?
    /// How long an endpoint that is back takes until it has its whole part of the requests again.
    public var slowStartMilliseconds: Int64 = 0
    public var circuitBreaker: CircuitBreakerRules?
    public var limit: RequestLimit?
    public var tls = UpstreamTLS()
    public var timeouts = UpstreamTimeouts()
    /// What connections begin with. Each is then for one request, since it says whose that is.
    public var proxyHeader = ProxyHeaderVersion.none
    /// How often a host name is looked up again.
    public var resolveMilliseconds: Int64 = 30_000

    /// How many endpoints an upstream may have: ``EndpointSet`` has a bit for each.
    public static let maximumEndpoints = 64

    public init(name: String, endpoints: [Endpoint]) {
        self.name = name
        self.endpoints = endpoints
    }

    /// Whether it is no more than a URL that stands at a route.
    private var isURL: Bool { endpoints.count == 1 && endpoints[0].url == name }

    /// What it is called in an answer to a client.
    var title: String { isURL ? "at \(name)" : name }

    /// Its name and where it is, for whoever operates it.
    public var summary: String { isURL ? name : "\(name) (\(endpoints.map(\.url).joined(separator: ", ")))" }

    /// The one endpoint of a route that names no more than a URL.
    public init(_ endpoint: Endpoint) { self.init(name: endpoint.url, endpoints: [endpoint]) }
}

/// Which endpoint has the next request.
public enum Balancing: Sendable, Equatable {
    /// In turn, by weight, evenly spread.
    case roundRobin
    /// The one with the fewest requests in flight for its weight.
    case leastRequests
    /// Two at random, and of these the one with fewer requests in flight.
    case powerOfTwo
    /// Always the same one for the same key, as long as it is there.
    case hash(HashKey)

    /// What a request is known by. One without it goes in turn.
    public enum HashKey: Sendable, Equatable {
        /// Who asks, by the verdict.
        case subject
        /// The first field of this name.
        case header([UInt8])
    }
}
