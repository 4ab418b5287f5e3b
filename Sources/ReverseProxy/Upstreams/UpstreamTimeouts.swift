/// How long a request may wait for its upstream, in milliseconds, as far as a route or an upstream says so itself.
public struct UpstreamTimeouts: Sendable, Equatable {
    public var connect: Int64?
    /// Until the response begins.
    public var firstByte: Int64?
    /// Between two pieces of the response.
    public var idle: Int64?
    /// From the moment when the request has been allowed to the end of its response, tries and waiting in line included.
    public var total: Int64?

    public init() {}
}

/// The waits that hold for the requests of a route: its own, else its upstream's, else everybody's.
struct WaitLimits {
    var connect: Int64 = 0
    var firstByte: Int64 = 0
    var idle: Int64 = 0
    /// Nil: as long as the others hold.
    var total: Int64?

    init() {}

    init(_ route: Route, _ timeouts: ProxyConfiguration.Timeouts) {
        let (own, upstream) = (route.timeouts, route.upstream.timeouts)
        connect = own.connect ?? upstream.connect ?? timeouts.upstreamConnect
        firstByte = own.firstByte ?? upstream.firstByte ?? timeouts.upstreamResponse
        idle = own.idle ?? upstream.idle ?? timeouts.upstreamResponse
        total = own.total ?? upstream.total ?? timeouts.upstreamTotal
    }
}
