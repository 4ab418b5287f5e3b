import EventLoop
import Synchronization

/// What all workers share of one endpoint.
final class EndpointStatus: Sendable {
    let endpoint: Endpoint
    private let known: Mutex<[SocketAddress]>
    /// Goes up when the addresses change.
    private let version = Atomic(0)

    init(_ endpoint: Endpoint, addresses: [SocketAddress]) {
        self.endpoint = endpoint
        known = Mutex(addresses)
    }

    /// Where it is, in the order in which to try.
    var addresses: [SocketAddress] { known.withLock { $0 } }
    var addressVersion: Int { version.load(ordering: .relaxed) }

    /// A new connection, to the first address that takes one. Parks on `waiter`. The one place where connections to upstreams are made.
    func connect(on waiter: Waiter, timeoutMilliseconds: Int64) async -> (stream: any ByteStream, address: SocketAddress)? {
        for address in addresses {
            if let socket = try? await Socket.connect(to: address, on: waiter, timeoutMilliseconds: timeoutMilliseconds) {
                return (socket, address)
            }
        }
        return nil
    }
}

extension Endpoint {
    /// Where it is. Blocks where a name server has to be asked: for start-up.
    ///
    /// - Throws: ``ResolutionError``, or ``SystemError`` for a path that is too long.
    func resolve() throws -> [SocketAddress] {
        switch place {
        case .tcp(let host, let port): try SocketAddress.resolve(host: host, port: port)
        case .unix(let path): [try SocketAddress.unix(path: path)]
        }
    }
}
