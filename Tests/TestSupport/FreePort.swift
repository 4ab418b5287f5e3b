import EventLoop

/// A port of 127.0.0.1 that was free a moment ago.
public func freePort() throws -> Int {
    try Listener.tcp(SocketAddress.resolve(host: "127.0.0.1", port: 0)[0]).address.port
}
