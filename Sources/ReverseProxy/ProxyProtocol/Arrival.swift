import EventLoop

/// What there is to know of a client's connection besides its peer's address.
struct Arrival {
    /// Whether the peer's address is that of whom the connection is from: not so where a proxy relays somebody without saying whom,
    /// who must not be heard in its place.
    var isKnown = true
    /// Whether it began with a header of the PROXY protocol.
    var hasProxyHeader = false
    /// Where the client connected to; nil where nobody wants to know, or it came by a Unix socket.
    var destination: ProxyHeader.End?
}

extension WorkerContext {
    /// Takes the PROXY header off a connection where its peer has to send one.
    ///
    /// - Returns: whom the connection is from; nil where it is of no use.
    func receiveProxyHeader(from socket: Socket, _ peer: SocketAddress, on waiter: Waiter) async -> (SocketAddress, Arrival)? {
        let trusted = configuration.trustedProxies
        guard trusted.sendProxyHeader, trusted.contains(Array(peer.host.utf8)) else { return (peer, Arrival()) }
        let source = await ProxyHeaderReader.read(
            from: socket, on: waiter, timeoutMilliseconds: configuration.timeouts.head, unless: { isDrainIdleOver }
        ) { why in
            state.proxyHeaderWarning.note("\(why), from \(peer)")
        }
        switch source {
        case nil: return nil
        case .proxy?: return (peer, Arrival(hasProxyHeader: true))
        case .unknown?: return (peer, Arrival(isKnown: false, hasProxyHeader: true))
        case .client(let client, let destination)?:
            return (SocketAddress(client.address, port: client.port), Arrival(hasProxyHeader: true, destination: destination))
        }
    }
}
