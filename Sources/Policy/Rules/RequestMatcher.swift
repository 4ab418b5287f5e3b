/// Which requests a rule is for: all of host, methods and path must match; what is not given matches any.
public struct RequestMatcher: Sendable, Hashable {
    public let host: HostPattern?
    public let methods: MethodSet?
    public let path: PathPattern?

    public init(host: HostPattern? = nil, methods: MethodSet? = nil, path: PathPattern? = nil) {
        self.host = host
        self.methods = methods
        self.path = path
    }

    /// - Parameters:
    ///   - authority: host and perhaps port.
    ///   - path: without the query.
    public func matches(authority: Span<UInt8>, method: Span<UInt8>, path: Span<UInt8>) -> Bool {
        (host?.matches(authority) ?? true) && (methods?.contains(method) ?? true) && (self.path?.matches(path) ?? true)
    }

    /// Whether a request that both match belongs to this rather than to `other`. Of two that can both match, exactly one is
    /// more specific, or they are in conflict.
    ///
    /// Judged in this order:
    /// 1. the host: a name, then a wildcard with more labels, one with fewer, any host;
    /// 2. the path, segment by segment from the left: text, `{id}`, `*`, and last what `**` takes; any path comes behind `/**`;
    /// 3. given methods before any method.
    public func isMoreSpecific(than other: RequestMatcher) -> Bool {
        let (left, right) = (hostRank, other.hostRank)
        guard left == right else { return left > right }
        switch Self.compare(path, other.path) {
        case 0: return methods != nil && other.methods == nil
        case let order: return order > 0
        }
    }

    private var hostRank: Int {
        guard let host else { return 0 }
        return host.isWildcard ? host.name.count : Int.max
    }

    /// - Returns: above 0 where `left` is more specific, below where `right` is.
    private static func compare(_ left: PathPattern?, _ right: PathPattern?) -> Int {
        guard let left, let right else { return (left == nil ? 0 : 1) - (right == nil ? 0 : 1) }
        for (one, other) in zip(left.segments, right.segments) where one.rank != other.rank { return one.rank - other.rank }
        // Of two that begin alike, the one that goes on is narrower than the `**` of the other; where neither has one, they
        // have no path in common.
        if left.segments.count != right.segments.count { return left.segments.count - right.segments.count }
        return (left.isOpen ? 0 : 1) - (right.isOpen ? 0 : 1)
    }
}
