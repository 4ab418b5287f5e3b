/// A place where a service listens, alone or as one of several of an ``Upstream``.
public struct Endpoint: Sendable, Equatable {
    public enum Place: Sendable, Equatable {
        /// A name or an address, an IPv6 one without its brackets.
        case tcp(host: String, port: Int)
        case unix(path: String)
    }

    /// As the operator wrote it, for messages. No two endpoints of an upstream have the same.
    public var url: String
    public var place: Place
    /// Whether it is spoken to by TLS.
    public var isSecure = false
    /// Its part of the requests, next to those of the others: 1 to 1000.
    public var weight = 1
    /// Whether it speaks HTTP/2: chosen by ALPN where it is spoken to by TLS (RFC 9113 §3.2), else without being asked (§3.3).
    public var isHTTP2 = false

    public init(url: String, place: Place) {
        self.url = url
        self.place = place
    }

    public init(url: String, host: String, port: Int) {
        self.init(url: url, place: .tcp(host: host, port: port))
    }

    /// The value of `Host` (RFC 9110 §7.2): the default port goes without saying. A Unix socket has no name that a service would know.
    public var authority: [UInt8] {
        switch place {
        case .tcp(let host, let port):
            let name = host.contains(":") ? "[\(host)]" : host
            return Array((port == (isSecure ? 443 : 80) ? name : "\(name):\(port)").utf8)
        case .unix: return Array("localhost".utf8)
        }
    }
}
