import Bytes
import EventLoop

/// What one exchange's log line says, gathered while it runs.
final class AccessRecord {
    /// Method and path as they were judged, copied since their bytes are gone when the line is written. Empty where the request
    /// was no request.
    let method = ByteBuffer(capacity: 16)
    let path = ByteBuffer(capacity: 256)

    var startNanoseconds: Int64 = 0
    /// The status the client was sent; 0 where it got none.
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
    /// Whether an empty line before the request has been passed over.
    var hasSkippedLine = false

    func begin() {
        method.clear()
        path.clear()
        startNanoseconds = 0
        status = 0
        byteCount = 0
        routeIndex = nil
        endpointIndex = nil
        hasVerdict = false
        reason = nil
        hasHead = false
        isHeadRequest = false
        hasSkippedLine = false
    }

    /// Notes what was asked for; of `target`, the path alone: a query may hold what no log should.
    func noteRequest(_ method: Span<UInt8>, pathOf target: Span<UInt8>) {
        self.method.clear()
        self.method.append(method)
        var end = 0
        while end < target.count, target[end] != UInt8(ascii: "?") { end &+= 1 }
        path.clear()
        path.append(target.extracting(0..<end))
    }
}

/// Why an exchange ended as it did, where the proxy itself ended it. Stable: logs carry them.
enum ProxyReason {
    case health, requestMalformed, routeUnknown, policyUnavailable
    case upstreamUnavailable, upstreamTimeout, upstreamMalformed, upstreamBrokeOff
    case upstreamUnhealthy, upstreamOverloaded, circuitOpen
    case clientGone, clientTooSlow, drainOver

    var name: StaticString {
        switch self {
        case .health: "health"
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
        }
    }
}
