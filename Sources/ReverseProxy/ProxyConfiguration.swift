import HTTPMessage
import Logging
import PolicyProtocol
import Settings
import Telemetry

/// Everything about the proxy that an operator may choose. Made plain, it is what runs when nothing is configured.
public struct ProxyConfiguration: Sendable, Equatable {
    /// What clients may send, and how much of it at once.
    public struct Limits: Sendable, Equatable {
        public var requestLineBytes = 8192
        /// All field lines of a head together.
        public var headerBytes = 32768
        public var headerCount = 100
        /// Nil: a body of any length.
        public var bodyBytes: Int?
        /// Client connections of the whole process.
        public var connections = 10_000
        /// Requests of HTTP/2 that are under way in the whole process: a connection may have many. Nil: twice the connections.
        public var requests: Int?

        var mostRequests: Int { requests ?? 2 * connections }
    }

    /// HTTP/2 towards clients.
    public struct HTTP2: Sendable, Equatable {
        /// Whether it is offered to clients by TLS, and those in the clear may begin with it, by prior knowledge (RFC 9113 §3.2, §3.3).
        public var isEnabled = true
        /// Requests that one connection may have open at one time.
        public var concurrentStreams = 100
        /// What a client may send of one request's content before it is read, in bytes.
        public var streamWindowBytes = 65_536
    }

    /// How long each wait may last, in milliseconds.
    public struct Timeouts: Sendable, Equatable {
        /// From the first byte of a request's head to its last.
        public var head: Int64 = 10_000
        /// Between two pieces of a request's body, and for a client to take what it is sent.
        public var body: Int64 = 30_000
        /// Between two requests of a client.
        public var idle: Int64 = 60_000
        public var upstreamConnect: Int64 = 2_000
        /// Until an upstream's response begins, and between two pieces of it.
        public var upstreamResponse: Int64 = 30_000
        /// From the moment when a request has been allowed to the end of its response. Nil: as long as the others hold.
        public var upstreamTotal: Int64?
        /// How long an unused connection to an upstream is kept.
        public var upstreamIdle: Int64 = 30_000
        /// How long a WebSocket may carry nothing.
        public var webSocketIdle: Int64 = 300_000
        /// From SIGTERM until what is still in flight is cut off.
        public var drain: Int64 = 30_000
        /// From SIGTERM until a connection without a request is closed: one that is on its way is answered, as its last.
        public var drainIdle: Int64 = 1_000
        /// How long a refused client may go on sending before it is cut off, so that it can read the refusal.
        public var linger: Int64 = 2_000
    }

    /// What the gateway calls itself in its first log line.
    public var name = "APIForge API Gateway"
    /// A name or an address to listen on.
    public var host = "127.0.0.1"
    /// 0: any free port; the first log line tells which.
    public var port = 3000
    /// Where to listen instead of at ``host`` and ``port``; empty for those two.
    public var listeners: [ListenerSettings] = []
    /// Threads that serve requests.
    public var workers = ProcessorCount.available
    public var logFormat = LogFormat.gateway
    /// The file that requests are logged to. Nil: standard output.
    public var accessLogPath: String?
    /// Where metrics are shown. Nil: nowhere.
    public var admin: AdminAddress?
    public var requestIDs = RequestIDSource.off
    public var traceContext = TraceContextMode.off
    /// Whose word is taken for whom a request comes from.
    public var trustedProxies = TrustedProxies()
    /// Whether upstreams are told by `Forwarded` too.
    public var sendsForwarded = false
    /// The least severe diagnostics to write; requests are logged by ``logFormat`` alone.
    public var logLevel = Logger.Level.info
    /// Paths of the sockets to ask; those that answer share the requests.
    public var policySockets: [String]
    /// A verdict that is later than this is a lost one.
    public var policyDeadlineMilliseconds: Int64 = 250
    public var routes = Self.builtInRoutes
    public var limits = Limits()
    public var http2 = HTTP2()
    public var timeouts = Timeouts()
    /// Unused connections kept for each upstream by each worker.
    public var upstreamIdleConnections = 1024

    /// Those that routes lead to, each once: an upstream is known by its name.
    var routedUpstreams: [Upstream] {
        var upstreams: [Upstream] = []
        for route in routes where !upstreams.contains(where: { $0.name == route.upstream.name }) { upstreams.append(route.upstream) }
        return upstreams
    }

    /// Everywhere the proxy listens.
    public var allListeners: [ListenerSettings] { listeners.isEmpty ? [ListenerSettings(host: host, port: port)] : listeners }

    /// The built-in defaults.
    public init(policySockets: [String] = [PolicySocket.defaultPath(environment: [:])]) {
        self.policySockets = policySockets
    }
}

extension ProxyConfiguration {
    /// What the head of a client's message may take.
    var headLimits: HeadLimits {
        var limits = HeadLimits()
        limits.requestLineBytes = self.limits.requestLineBytes
        limits.headerBytes = self.limits.headerBytes
        limits.headerCount = self.limits.headerCount
        return limits
    }
}

/// How requests are logged.
public enum LogFormat: String, Sendable, CaseIterable {
    /// `[GATEWAY] GET /api/projects 200 847B 12.4ms user=usr_9f3k2m`
    case gateway
    /// As Apache's "combined".
    case combined
    /// One JSON object a line.
    case json
    case off
}
