import Bytes
import Settings

/// Who may say on whose behalf a request comes.
public struct TrustedProxies: Sendable, Equatable {
    /// One of them, as the operator writes it.
    public enum Peer: Sendable, Hashable {
        case network(IPNetwork)
        /// Whoever comes by a Unix socket.
        case unix
    }

    /// Where they say it. One field, never both: a proxy that writes the one passes the other on as a client sent it.
    public enum Header: String, Sendable, CaseIterable {
        /// And `X-Forwarded-Proto`, `X-Forwarded-Host` where they are believed.
        case xForwardedFor = "x-forwarded-for"
        /// RFC 7239.
        case forwarded
    }

    public var peers: [Peer] = []
    public var header = Header.xForwardedFor
    /// Whether their `X-Forwarded-Proto` and `X-Forwarded-Host` are believed. A proxy that sets `X-Forwarded-For` alone passes these on as
    /// a client sent them.
    public var tellScheme = false
    public var tellHost = false
    /// Whether their connections begin with a header of the PROXY protocol.
    public var sendProxyHeader = false

    public init() {}

    public var isEmpty: Bool { peers.isEmpty }

    public func contains(_ address: IPAddress) -> Bool {
        for case .network(let network) in peers where network.contains(address) { return true }
        return false
    }

    public var containsUnixSockets: Bool { peers.contains(.unix) }

    /// - Parameter address: a peer's; empty for one that comes by a Unix socket.
    func contains(_ address: [UInt8]) -> Bool {
        guard !isEmpty else { return false }
        if let address = IPAddress(address.span) { return contains(address) }
        return containsUnixSockets
    }
}

extension TrustedProxies {
    mutating func read(_ root: Section) {
        root.readList("trusted_proxies", .trustedPeer, mayBeNull: true, into: &peers)
        root.read("trusted_header", .choice, into: &header)
        root.read("trusted_proto", .boolean, into: &tellScheme)
        root.read("trusted_host", .boolean, into: &tellHost)
        for (option, isTrue) in [("trusted_proto", tellScheme), ("trusted_host", tellHost)] where isTrue && header == .forwarded {
            root.report(option, "is true beside trusted_header: forwarded, which says that by itself", accepted: "it beside trusted_header: x-forwarded-for")
        }
        root.read("proxy_protocol", .boolean, into: &sendProxyHeader)
        if sendProxyHeader, peers.isEmpty {
            root.report("proxy_protocol", "is true, and trusted_proxies names nobody to send its header", accepted: nil)
        }
    }
}

extension Form where Value == TrustedProxies.Peer {
    fileprivate static var trustedPeer: Form {
        Form(accepted: "an IP address, a network as in 10.0.0.0/8 without a bit set behind its length, or unix") { text in
            let bytes = Array(text.utf8)
            return text == "unix" ? .unix : IPNetwork(bytes.span).map { .network($0) }
        }
    }
}
