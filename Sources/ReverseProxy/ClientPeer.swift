import EventLoop

/// Whom a connection is from and how it came, as one configuration has it: the same for all streams of one of HTTP/2.
final class ClientPeer {
    /// The IP address as text; empty where it came by a Unix socket.
    let address: [UInt8]
    let port: UInt16
    /// How it came to the listener.
    let arrival: Arrival
    /// Where it came in.
    let listener: ListenerSetup
    /// What the policy daemon is told of the certificate that the client has shown; nil for none.
    let certificate: [UInt8]?
    /// Whether it is a proxy that is trusted to say whom a request comes from.
    let isTrusted: Bool

    convenience init(_ address: SocketAddress, _ arrival: Arrival, at listener: ListenerSetup, certificate: [UInt8]?, trusted: TrustedProxies) {
        self.init(Array(address.host.utf8), UInt16(address.port), arrival, listener, certificate, trusted)
    }

    private init(
        _ address: [UInt8], _ port: UInt16, _ arrival: Arrival, _ listener: ListenerSetup, _ certificate: [UInt8]?, _ trusted: TrustedProxies
    ) {
        self.address = address
        self.port = port
        self.arrival = arrival
        self.listener = listener
        self.certificate = certificate
        // From before a reload: whom the peer relays there, only the header could have said.
        let lacksHeader = trusted.sendProxyHeader && !arrival.hasProxyHeader
        isTrusted = !lacksHeader && arrival.isKnown && trusted.contains(address)
    }

    /// The same under another configuration.
    func judged(by trusted: TrustedProxies) -> ClientPeer { ClientPeer(address, port, arrival, listener, certificate, trusted) }
}
