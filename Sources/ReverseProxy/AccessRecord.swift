import Bytes
import EventLoop
import HTTPMessage

/// What one exchange's log line says, gathered while it runs.
final class AccessRecord {
    /// What the request says of itself: ``method`` and what follows lie in it. Copied, since its bytes are gone when the line is written.
    let text = ByteBuffer(capacity: 256)
    /// Method and path as they were judged. Empty where the request was no request.
    private(set) var method = ByteRange.empty
    private(set) var path = ByteRange.empty
    /// What the log says besides, where its format has it.
    private(set) var host = ByteRange.empty
    private(set) var referer = ByteRange.empty
    private(set) var userAgent = ByteRange.empty
    private(set) var isHTTP10 = false

    var startNanoseconds: Int64 = 0
    /// How long the policy daemon took; nil where it was not asked, or nobody wants to know.
    var policyNanoseconds: Int64?
    /// When the request began to be forwarded; 0 before, or where nobody wants to know.
    var forwardedNanoseconds: Int64 = 0
    /// From then until the response began, or it was certain that there would be none.
    private(set) var upstreamNanoseconds: Int64?
    /// The status the client was sent; 0 where it got none. Of a call of gRPC that the proxy answered itself, the one that it stands for.
    var status: UInt16 = 0
    /// Bytes of content the client was sent.
    var byteCount = 0
    /// The route's place in the configuration.
    var routeIndex: Int?
    /// The place, in the route's upstream, of the endpoint that was asked last.
    var endpointIndex: Int?
    /// Whether the exchange's check holds a verdict on this request.
    var hasVerdict = false
    /// Why it ended as it did, where that was not the policy's doing.
    var reason: ProxyReason?
    /// Whether the head still stands at the front of the input.
    var hasHead = false
    /// Whether it is a HEAD request, whose answer has no content.
    var isHeadRequest = false
    /// Whether it is a call of gRPC, whose answers are told in fields of their own.
    var isGRPC = false
    /// Whether the connection is to become a WebSocket, if the upstream agrees.
    var asksForWebSocket = false
    /// Whether an empty line before the request has been passed over.
    var hasSkippedLine = false

    func begin() {
        text.clear()
        (method, path, host, referer, userAgent) = (.empty, .empty, .empty, .empty, .empty)
        startNanoseconds = 0
        policyNanoseconds = nil
        forwardedNanoseconds = 0
        upstreamNanoseconds = nil
        status = 0
        byteCount = 0
        routeIndex = nil
        endpointIndex = nil
        hasVerdict = false
        reason = nil
        hasHead = false
        isHeadRequest = false
        isGRPC = false
        asksForWebSocket = false
        hasSkippedLine = false
    }

    /// Notes what was asked for; of `target`, the path alone: a query may hold what no log should.
    func noteRequest(_ method: Span<UInt8>, pathOf target: Span<UInt8>) {
        self.method = keep(method)
        notePath(target.extracting(0..<(target.firstIndex(of: UInt8(ascii: "?")) ?? target.count)))
    }

    /// Notes the path as it was judged.
    func notePath(_ path: Span<UInt8>) {
        self.path = keep(path)
    }

    /// Notes what the log says besides of a request.
    func noteDetails(_ head: borrowing RequestHead, _ bytes: Span<UInt8>) {
        isHTTP10 = head.minorVersion == 0
        host = keep(head.host.bytes(in: bytes))
        for field in head.fields where field.kind == .other {
            let name = field.name.bytes(in: bytes)
            if name.equalsIgnoringCase("referer") { referer = keep(field.value.bytes(in: bytes)) }
            if name.equalsIgnoringCase("user-agent") { userAgent = keep(field.value.bytes(in: bytes)) }
        }
    }

    private func keep(_ bytes: Span<UInt8>) -> ByteRange {
        let start = text.count
        text.append(bytes)
        return ByteRange(start..<text.count)
    }

    /// Notes that the response has begun, or that there will be none.
    func noteUpstream() {
        guard forwardedNanoseconds > 0, upstreamNanoseconds == nil else { return }
        upstreamNanoseconds = Clock.monotonicNanoseconds() - forwardedNanoseconds
    }
}

/// Why an exchange ended as it did, where the proxy itself ended it. Stable: logs carry them.
enum ProxyReason {
    case health, redirected, hostUnknown, requestMalformed, routeUnknown, policyUnavailable
    case upstreamUnavailable, upstreamTimeout, upstreamMalformed, upstreamBrokeOff
    case upstreamUnhealthy, upstreamOverloaded, circuitOpen
    case clientGone, clientTooSlow, drainOver, webSocketIdle

    var name: StaticString {
        switch self {
        case .health: "health"
        case .redirected: "redirected"
        case .hostUnknown: "host-unknown"
        case .requestMalformed: "request-malformed"
        case .routeUnknown: "route-unknown"
        case .policyUnavailable: "policy-unavailable"
        case .upstreamUnavailable: "upstream-unavailable"
        case .upstreamTimeout: "upstream-timeout"
        case .upstreamMalformed: "upstream-malformed"
        case .upstreamBrokeOff: "upstream-broke-off"
        case .upstreamUnhealthy: "upstream-unhealthy"
        case .upstreamOverloaded: "upstream-overloaded"
        case .circuitOpen: "circuit-open"
        case .clientGone: "client-gone"
        case .clientTooSlow: "client-too-slow"
        case .drainOver: "drain-over"
        case .webSocketIdle: "websocket-idle"
        }
    }
}
