import Bytes
import EventLoop
import Synchronization
import TLS

/// What all workers share of one endpoint.
final class EndpointStatus: Sendable {
    /// An endpoint that is back begins with this part of its weight.
    private static let leastPartOfStart: Int64 = 10
    /// The finest part of a weight.
    private static let weightParts = 100

    let endpoint: Endpoint
    private let slowStartMilliseconds: Int64
    /// Nil: it is spoken to in the clear.
    private let security: EndpointSecurity?
    private let known: Mutex<[SocketAddress]>
    /// Goes up when the addresses change.
    private let version = Atomic(0)
    private let isWell = Atomic(true)
    private let wellSince = Atomic(Int64.min)
    private let outUntil = Atomic(Int64.min)
    private let failed = Atomic(false)

    init(_ endpoint: Endpoint, addresses: [SocketAddress], slowStartMilliseconds: Int64, security: EndpointSecurity? = nil) {
        self.security = security
        self.endpoint = endpoint
        self.slowStartMilliseconds = slowStartMilliseconds
        known = Mutex(addresses)
    }

    // MARK: Where it is

    /// In the order in which to try them.
    var addresses: [SocketAddress] { known.withLock { $0 } }
    var addressVersion: Int { version.load(ordering: .relaxed) }

    /// - Returns: whether they are others than before.
    func replaceAddresses(_ addresses: [SocketAddress]) -> Bool {
        known.withLock { known in
            // A name server may turn the list with each answer.
            guard !(addresses.count == known.count && addresses.allSatisfy(known.contains)) else { return false }
            known = addresses
            version.add(1, ordering: .relaxed)
            return true
        }
    }

    /// A new connection, to the first address that takes one. Parks on `waiter`. The one place where connections to upstreams are made.
    ///
    /// - Parameters:
    ///   - timeoutMilliseconds: for each address, TLS included.
    ///   - turns: in which the worker's handshakes are made; nil where few are.
    ///   - first: what goes before everything else, TLS included, and fits into an empty socket: a PROXY header, or nothing.
    func connect(
        on waiter: Waiter, timeoutMilliseconds: Int64, taking turns: HandshakeTurns? = nil, sending first: ByteBuffer? = nil
    ) async throws(ConnectFailure) -> (stream: any ByteStream, address: SocketAddress) {
        for address in addresses {
            let end = waiter.loop.nowMilliseconds + timeoutMilliseconds
            let socket: Socket
            do throws(SystemError) {
                socket = try await Socket.connect(to: address, on: waiter, timeoutMilliseconds: timeoutMilliseconds)
            } catch {
                if error.isExhaustion { throw .exhausted }
                continue
            }
            if let first, socket.send(first) != .sent {
                socket.close()
                throw .endpoint
            }
            guard let security else { return (socket, address) }
            let left = max(end - waiter.loop.nowMilliseconds, 1)
            if let stream = await security.begin(on: socket, waiter, timeoutMilliseconds: left, taking: turns) { return (stream, address) }
            // The header has been sent, and there is no second one for another address.
            if first != nil { throw .endpoint }
        }
        throw .endpoint
    }

    // MARK: How it is

    /// What the health checks say.
    var isHealthy: Bool { isWell.load(ordering: .relaxed) }
    /// On the loops' clock; in the past, or `Int64.min`, where it is not ejected.
    var ejectedUntil: Int64 { outUntil.load(ordering: .relaxed) }

    func setHealthy(_ isHealthy: Bool, now: Int64) {
        if isHealthy { wellSince.store(now, ordering: .relaxed) }
        isWell.store(isHealthy, ordering: .relaxed)
    }

    /// Whether the last request there failed, as far as ejection cares.
    var hasFailed: Bool {
        get { failed.load(ordering: .relaxed) }
        set { failed.store(newValue, ordering: .relaxed) }
    }

    func eject(until: Int64) { outUntil.store(until, ordering: .relaxed) }

    /// Its part of the requests now: 0 where it is to have none, and less than its weight says where it has come back just now.
    func weight(now: Int64) -> Int {
        let ejectedUntil = ejectedUntil
        guard isHealthy, ejectedUntil <= now else { return 0 }
        let whole = endpoint.weight * Self.weightParts
        guard slowStartMilliseconds > 0 else { return whole }
        let backSince = max(wellSince.load(ordering: .relaxed), ejectedUntil)
        guard backSince > now - slowStartMilliseconds else { return whole }
        let part = max((now - backSince) * 100 / slowStartMilliseconds, Self.leastPartOfStart)
        return max(whole * Int(part) / 100, 1)
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
