import Bytes
import HTTPMessage
import Settings

extension Route {
    /// Reads the map of prefixes to upstreams. A value is the upstream's name or URL, or a map with `upstream` and what else the
    /// route needs.
    ///
    /// - Parameter upstreams: those that have a name.
    /// - Returns: nil where no routes are given.
    static func read(_ root: Section, upstreams: [Upstream]) -> [Route]? {
        let accepted = "a map of path prefixes to upstreams, such as /api/orders: http://localhost:3004"
        return root.entries("routes", accepted: accepted)?.compactMap { entry in
            let prefix = entry.key(as: .pathPrefix)
            guard let options = entry.section else {
                guard let upstream = entry.value(.upstream(of: upstreams)), let prefix else { return nil }
                return Route(prefix: prefix, upstream: upstream)
            }
            var allowsEncodedSlash = false
            options.read("allow_encoded_slash", .boolean, into: &allowsEncodedSlash)
            var allowsWebSocket = false
            options.read("websocket", .boolean, into: &allowsWebSocket)
            let upstream = options.require("upstream", .upstream(of: upstreams))
            var timeouts = UpstreamTimeouts()
            timeouts.read(options.section("timeouts"))
            guard let upstream, let prefix else { return nil }
            var route = Route(prefix: prefix, upstream: upstream, allowsEncodedSlash: allowsEncodedSlash)
            route.timeouts = timeouts
            route.allowsWebSocket = allowsWebSocket
            return route
        }
    }
}

extension Form where Value == String {
    /// A path that is the normal form of itself: another could never match, since requests are matched in theirs.
    static var pathPrefix: Form {
        let accepted = """
            a path in normal form: it begins with / and does not end with it, and has no query, no dot or empty segments, \
            no escaped slash and no needless escapes
            """
        return Form(accepted: accepted) { isNormal($0) ? $0 : nil }
    }

    private static func isNormal(_ path: String) -> Bool {
        guard path == "/" || path.hasPrefix("/") && !path.hasSuffix("/") else { return false }
        let bytes = Array(path.utf8)
        let request = ByteBuffer(capacity: bytes.count + 64)
        request.append("GET ")
        request.append(bytes)
        request.append(" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        var head = RequestHead()
        guard (try? head.parse(request.bytes, byteCount: request.bytes.count, limits: HeadLimits())) != nil,
            let target = try? RequestTarget.normalize(head, in: request)
        else { return false }
        let isWhole = target.range.count == bytes.count && target.pathByteCount == bytes.count
        return isWhole && !target.hasEncodedSlash && target.path.bytes(in: request.bytes).equals(bytes.span)
    }
}
