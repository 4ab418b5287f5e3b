import Bytes
import HTTPMessage

/// An upstream as one worker sees it: the connections to its endpoints, and whose turn it is.
final class UpstreamService {
    let upstream: Upstream
    /// One for each endpoint, at its place.
    let pools: [UpstreamPool]
    private let hashKey: Balancing.HashKey?
    private var balancer: Balancer
    private var candidates: [Balancer.Candidate]

    init(_ status: UpstreamStatus, configuration: ProxyConfiguration) {
        upstream = status.upstream
        pools = status.endpoints.map { UpstreamPool($0, configuration: configuration) }
        hashKey = if case .hash(let key) = status.upstream.balancing { key } else { nil }
        balancer = Balancer(status.upstream)
        candidates = pools.map { _ in Balancer.Candidate(weight: 0) }
    }

    /// The endpoint for a request, or for its next try.
    ///
    /// - Parameters:
    ///   - tried: those that this request has tried in vain.
    ///   - key: what the request is known by, where ``Balancing`` asks for that.
    /// - Returns: nil where there is none left.
    func choose(excluding tried: EndpointSet, key: UInt64?) -> Int? {
        guard pools.count > 1 else { return tried.isEmpty ? 0 : nil }
        for (index, pool) in pools.enumerated() {
            candidates[index].weight = tried.contains(index) ? 0 : pool.endpoint.weight
            candidates[index].requests = pool.requestCount
        }
        return balancer.choose(among: candidates, key: key)
    }

    /// What the request is known by, hashed. Nil where it has no such thing, or nobody asks for it.
    func hashKey(of exchange: Exchange) -> UInt64? {
        switch hashKey {
        case nil: return nil
        case .subject?:
            guard let subject = exchange.check.message?.subject, !subject.isEmpty else { return nil }
            let payload = exchange.check.verdict
            return KeyHash.of(subject.bytes(in: payload.bytes))
        case .header(let wanted)?:
            let input = exchange.input
            let bytes = input.bytes
            for field in exchange.head.fields where field.name.bytes(in: bytes).equalsIgnoringCase(wanted.span) {
                return KeyHash.of(field.value.bytes(in: bytes))
            }
            return nil
        }
    }

    func sweep(now: Int64) {
        for pool in pools { pool.sweep(now: now) }
    }

    func closeAll() {
        for pool in pools { pool.closeAll() }
    }
}
