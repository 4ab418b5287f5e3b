import TLS

/// An address to listen on, and what holds for the clients that come in there.
public struct ListenerSettings: Sendable, Equatable {
    /// A name or an address, an IPv6 one without its brackets.
    public var host: String
    /// 0: any free port.
    public var port: Int
    /// Nil: HTTP in the clear.
    public var tls: TLSServerSettings?
    /// Every request but `/health` is sent to `https` on this port.
    public var redirectPort: Int?
    /// The value of `Strict-Transport-Security` in every response (RFC 6797 §6.1).
    public var strictTransportSecurity: String?

    public init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// For messages: `https://[::1]:443`.
    public var url: String { url(port: port) }

    /// - Parameter port: the real one, where 0 was asked for.
    func url(port: Int) -> String { "\(tls == nil ? "http" : "https")://\(host.contains(":") ? "[\(host)]" : host):\(port)" }
}
