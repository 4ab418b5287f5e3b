import EventLoop
import Glibc
import Logging
import Synchronization
import TLS
import Testing

@testable import ReverseProxy

/// Answers what a test says: addresses, or nothing at all.
private final class NameServer: Sendable {
    private let answers = Mutex<[String: Result<[SocketAddress], ResolutionError>]>([:])
    private let asked = Mutex<[String: Int]>([:])

    func count(_ host: String) -> Int { asked.withLock { $0[host, default: 0] } }

    func say(_ host: String, _ addresses: [SocketAddress]?) {
        answers.withLock { $0[host] = addresses.map { .success($0) } ?? .failure(ResolutionError(host: host, reason: "no answer")) }
    }

    func resolve(_ host: String, _ port: Int) throws(ResolutionError) -> [SocketAddress] {
        asked.withLock { $0[host, default: 0] += 1 }
        return try (answers.withLock { $0[host] } ?? .failure(ResolutionError(host: host, reason: "nobody knows it"))).get()
    }
}

private func status(of endpoints: [(host: String, addresses: [SocketAddress])]) -> UpstreamStatus {
    var upstream = Upstream(name: "orders", endpoints: endpoints.map { Endpoint(url: "http://\($0.host)", host: $0.host, port: 80) })
    upstream.resolveMilliseconds = 10
    let statuses = zip(upstream.endpoints, endpoints).map { EndpointStatus($0, addresses: $1.addresses, slowStartMilliseconds: 0) }
    return UpstreamStatus(upstream, endpoints: statuses, logger: silent)
}

private let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

private func address(_ number: Int) throws -> SocketAddress { try SocketAddress.resolve(host: "127.0.0.\(number)", port: 80)[0] }

private func until(_ condition: () -> Bool) async throws {
    for _ in 0..<10_000 where !condition() { try await Task.sleep(for: .milliseconds(1)) }
    #expect(condition())
}

private func keep(_ status: UpstreamStatus, by resolve: @escaping HostLookup.Resolver, while body: (UpstreamKeeper) async throws -> Void) async throws {
    let keeper = UpstreamKeeper([status], loop: try EventLoop(), logger: silent, resolve: resolve)
    let thread = try SystemThread(name: "keeper") { keeper.loop.run() }
    Task(executorPreference: keeper.loop) { await keeper.run() }
    try await body(keeper)
    Task(executorPreference: keeper.loop) { await keeper.stop() }
    thread.join()
}

@Suite struct `The names of endpoints` {
    @Test func `are looked up again, and where nobody answers the last addresses hold`() async throws {
        let (one, two, three) = (try address(1), try address(2), try address(3))
        let names = NameServer()
        names.say("a.test", [one, two])
        let status = status(of: [("a.test", [one])])
        let endpoint = status.endpoints[0]
        try await keep(status, by: { (host, port) throws(ResolutionError) in try names.resolve(host, port) }) { _ in
            try await until { endpoint.addresses == [one, two] }
            #expect(endpoint.addressVersion == 1)
            names.say("a.test", nil)
            let before = names.count("a.test")
            try await until { names.count("a.test") > before + 2 }
            #expect(endpoint.addresses == [one, two])
            // The same ones in another order are no news.
            names.say("a.test", [two, one])
            let then = names.count("a.test")
            try await until { names.count("a.test") > then + 2 }
            #expect(endpoint.addresses == [one, two])
            names.say("a.test", [])
            let later = names.count("a.test")
            try await until { names.count("a.test") > later + 2 }
            #expect(endpoint.addresses == [one, two])
            names.say("a.test", [three])
            try await until { endpoint.addresses == [three] }
            #expect(endpoint.addressVersion == 2)
        }
    }

    @Test func `are not kept waiting by one that nobody answers`() async throws {
        let (one, two) = (try address(1), try address(2))
        let names = NameServer()
        names.say("quick.test", [two])
        let isStuck = Atomic(true)
        let status = status(of: [("stuck.test", [one]), ("quick.test", [one])])
        try await keep(status, by: { (host, port) throws(ResolutionError) in
            while host == "stuck.test", isStuck.load(ordering: .relaxed) { usleep(1000) }
            return try names.resolve(host, port)
        }) { _ in
            try await until { status.endpoints[1].addresses == [two] }
            #expect(status.endpoints[0].addresses == [one])
        }
        // The keeper has ended although that lookup has not.
        isStuck.store(false, ordering: .relaxed)
    }

    @Test func `are looked up for those upstreams that there are after a reload`() async throws {
        let (one, two) = (try address(1), try address(2))
        let names = NameServer()
        names.say("a.test", [one])
        names.say("b.test", [two])
        let (first, second) = (status(of: [("a.test", [one])]), status(of: [("b.test", [one]), ("127.0.0.1", [one])]))
        try await keep(first, by: { (host, port) throws(ResolutionError) in try names.resolve(host, port) }) { keeper in
            try await until { names.count("a.test") > 2 }
            #expect(names.count("b.test") == 0)
            await keeper.adopt([second])
            try await until { second.endpoints[0].addresses == [two] }
            let before = names.count("a.test")
            let then = names.count("b.test")
            try await until { names.count("b.test") > then + 5 }
            #expect(names.count("a.test") <= before + 1)
            #expect(names.count("127.0.0.1") == 0)
        }
    }

    @Test func `stay known over a reload that changes nothing about them`() throws {
        var configuration = ProxyConfiguration()
        configuration.routes = [
            Route(prefix: "/a", upstream: Upstream(Endpoint(url: "http://127.0.0.1:1", host: "127.0.0.1", port: 1))),
            Route(prefix: "/b", upstream: Upstream(Endpoint(url: "http://127.0.0.1:2", host: "127.0.0.1", port: 2))),
        ]
        let before = try UpstreamStatus.all(in: configuration, logger: silent)
        configuration.routes[1].upstream.slowStartMilliseconds = 7
        let after = try UpstreamStatus.all(in: configuration, keeping: before, logger: silent)
        #expect(after.count == 2 && after[0] === before[0] && after[1] !== before[1])
    }
}

/// A worker of one pool.
private actor Worker {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }

    init(loop: EventLoop) { self.loop = loop }

    /// Keeps a connection to where `endpoint` is, and has it moved in the meantime.
    ///
    /// - Returns: whether the connection was there before, and afterwards.
    func keepConnection(to endpoint: EndpointStatus, movingTo addresses: [SocketAddress]) async throws -> (before: Bool, after: Bool) {
        defer { loop.stop() }
        let pool = UpstreamPool(endpoint, configuration: ProxyConfiguration(), queue: SessionQueue(loop: loop))
        let waiter = Waiter(loop: loop)
        let connection = try await pool.connect(on: waiter, timeoutMilliseconds: 10_000, taking: HandshakeTurns(loop: loop))
        pool.giveBack(connection, now: loop.nowMilliseconds)
        let before = pool.takeIdle(now: loop.nowMilliseconds)
        if let before { pool.giveBack(before, now: loop.nowMilliseconds) }
        _ = endpoint.replaceAddresses(addresses)
        return (before != nil, pool.takeIdle(now: loop.nowMilliseconds) != nil)
    }
}

@Suite struct `A kept connection` {
    @Test(arguments: [true, false])
    func `is used while its endpoint is still where it leads`(stays: Bool) async throws {
        let listener = try Listener.tcp(SocketAddress.resolve(host: "127.0.0.1", port: 0)[0])
        let endpoint = EndpointStatus(
            Endpoint(url: "http://a", host: "a", port: 80), addresses: [listener.address], slowStartMilliseconds: 0)
        let loop = try EventLoop()
        let worker = Worker(loop: loop)
        let thread = try SystemThread(name: "pool") { loop.run() }
        let others = [try address(7)] + (stays ? [listener.address] : [])
        let found = try await Task(executorPreference: loop) { try await worker.keepConnection(to: endpoint, movingTo: others) }.value
        thread.join()
        #expect(found == (true, stays))
    }
}
