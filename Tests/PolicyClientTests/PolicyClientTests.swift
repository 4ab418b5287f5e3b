import EventLoop
import Logging
import PolicyClient
import PolicyProtocol
import Synchronization
import Testing

@Suite struct `A client of policy daemons` {
    @Test func `connects again when its daemon is back, and asks nothing twice`() async throws {
        try await Stage.run { stage in
            let path = FakeDaemon.newPath()
            let client = try stage.keepAsking([path])
            #expect(client.usableConnection() == nil)
            var daemon: FakeDaemon? = try FakeDaemon(loop: stage.loop, path: path)
            let peer = await daemon!.welcome()
            await stage.until { client.usableConnection() != nil }
            let check = stage.ask(client.usableConnection()!)
            #expect(await peer.frame()?.type == .check)
            daemon = nil
            peer.close()
            #expect(await check.outcome() == "policy-unreachable")
            #expect(client.usableConnection() == nil)

            daemon = try FakeDaemon(loop: stage.loop, path: path)
            let next = await daemon!.welcome()
            await stage.until { client.usableConnection() != nil }
            let another = stage.ask(client.usableConnection()!)
            #expect(await next.frame()?.id == 1)
            next.send(Frames.allow(1))
            #expect(await another.outcome() == "allowed")
            next.send(Frames.ping(1))
            #expect(await next.frame()?.type == .pong, "nothing but the one new CHECK was asked")
        }
    }

    @Test func `asks several daemons in turn, and those alone that answer`() async throws {
        try await Stage.run { stage in
            let daemons = try (0..<3).map { _ in try FakeDaemon(loop: stage.loop) }
            let client = try stage.keepAsking(daemons.map(\.path) + [FakeDaemon.newPath()])
            var peers: [FakePeer] = []
            for daemon in daemons { peers.append(await daemon.welcome()) }
            await stage.until { stage.usable(client) == 3 }
            peers[1].send(Frames.goAway())
            await stage.until { stage.usable(client) == 2 }
            for _ in 0..<10 { stage.ask(client.usableConnection()!) }
            #expect(await peers[0].frames(5).count == 5)
            #expect(await peers[2].frames(5).count == 5)
        }
    }

    @Test func `asks a daemon that sends it away until it is welcomed anew, and then there`() async throws {
        try await Stage.run { stage in
            let daemon = try FakeDaemon(loop: stage.loop)
            let client = try stage.keepAsking([daemon.path])
            let peer = await daemon.welcome()
            await stage.until { client.usableConnection() != nil }
            let first = try #require(client.usableConnection())
            peer.send(Frames.goAway())
            let next = await daemon.accept()
            #expect(client.usableConnection() === first, "there is no other yet")
            let last = stage.ask(first)
            _ = await next.frame()
            next.send(Frames.hello())
            await stage.until { client.usableConnection() !== first }
            #expect(client.usableConnection() != nil)
            let id = try #require(await peer.frame()).id
            peer.send(Frames.allow(id))
            #expect(await last.outcome() == "allowed")
            #expect(await peer.frame() == nil, "the client leaves once all is answered")
            let check = stage.ask(client.usableConnection()!)
            #expect(await next.frame()?.id == 1)
            next.send(Frames.allow(1))
            #expect(await check.outcome() == "allowed")
        }
    }

    @Test func `leaves a daemon that sends it away where there is no other`() async throws {
        try await Stage.run { stage in
            var daemon: FakeDaemon? = try FakeDaemon(loop: stage.loop)
            let client = try stage.keepAsking([daemon!.path])
            let peer = await daemon!.welcome()
            await stage.until { client.usableConnection() != nil }
            daemon = nil
            peer.send(Frames.goAway())
            #expect(await peer.frame() == nil)
            #expect(client.usableConnection() == nil)
        }
    }

    @Test(arguments: [true, false])
    func `asks a daemon that sends it away for a while, where the next one has the socket and does not greet`(_ isSoon: Bool) async throws {
        try await Stage.run { stage in
            var configuration = PolicyClient.Configuration.patient
            configuration.helloTimeoutMilliseconds = 20
            configuration.successionMilliseconds = isSoon ? Stage.hangMilliseconds : 0
            let daemon = try FakeDaemon(loop: stage.loop)
            let client = try stage.keepAsking([daemon.path], configuration)
            // On a busy machine a greeting may be late for itself.
            var peer = await daemon.welcome()
            await stage.turns(10)
            while client.usableConnection() == nil {
                peer = await daemon.welcome()
                await stage.turns(10)
            }
            peer.send(Frames.goAway())
            _ = await daemon.accept()
            _ = await daemon.accept()
            #expect((client.usableConnection() != nil) == isSoon)
        }
    }

    @Test func `bridges the gap between a daemon and the next one on the same socket`() async throws {
        try await Stage.run { stage in
            let daemon = try FakeDaemon(loop: stage.loop)
            let client = try stage.keepAsking([daemon.path])
            let peer = await daemon.welcome()
            await stage.until { client.usableConnection() != nil }
            let first = client.usableConnection()
            peer.close()
            await stage.until { client.usableConnection() == nil }
            stage.awaitConnection()
            let peerOfNext = await daemon.accept()
            let isAwaiting = stage.isAwaiting
            #expect(isAwaiting)
            _ = await peerOfNext.frame()
            peerOfNext.send(Frames.hello())
            await stage.until { !stage.isAwaiting }
            let next = stage.awaited
            #expect(next != nil && next !== first)
        }
    }

    @Test func `does not wait where nobody listens, nor for longer than a verdict`() async throws {
        try await Stage.run { stage in
            var daemon: FakeDaemon? = try FakeDaemon(loop: stage.loop)
            let client = try stage.keepAsking([daemon!.path])
            let peer = await daemon!.welcome()
            await stage.until { client.usableConnection() != nil }
            daemon = nil
            peer.close()
            await stage.until { client.usableConnection() == nil }
            stage.awaitConnection()
            await stage.until { !stage.isAwaiting }
            let awaited = stage.awaited
            #expect(awaited == nil)
        }
        try await Stage.run { stage in
            let daemon = try FakeDaemon(loop: stage.loop)
            _ = try stage.keepAsking([daemon.path], .impatient)
            _ = await daemon.accept()
            stage.awaitConnection()
            await stage.until { !stage.isAwaiting }
            let awaited = stage.awaited
            #expect(awaited == nil)
        }
    }

    @Test func `stops at once, whatever it is at`() async throws {
        try await Stage.run { stage in
            var configuration = PolicyClient.Configuration.patient
            configuration.reconnectMilliseconds = 600_000...600_000
            let (greeting, silent) = (try FakeDaemon(loop: stage.loop), try FakeDaemon(loop: stage.loop))
            let client = try stage.keepAsking([greeting.path, silent.path, FakeDaemon.newPath()], configuration)
            let peers = (await greeting.welcome(), await silent.accept())
            await stage.until { client.usableConnection() != nil }
            let check = stage.ask(client.usableConnection()!)
            client.stop()
            await stage.until { stage.hasStopped }
            #expect(await check.outcome() == "policy-unreachable")
            _ = peers
        }
    }

    @Test func `complains of an outage once, not at each try`() async throws {
        let log = Log()
        try await Stage.run { stage in
            // No connection lasts longer than the longest pause, so none counts as an end of the outage.
            var configuration = PolicyClient.Configuration.patient
            configuration.reconnectMilliseconds = 1...600_000
            let path = FakeDaemon.newPath()
            let client = try stage.keepAsking([path], configuration, logger: log.logger)
            await stage.turns(500)
            let daemon = try FakeDaemon(loop: stage.loop, path: path)
            // One that greets and leaves, again and again.
            for _ in 0..<5 { await daemon.welcome().close() }
            client.stop()
            await stage.until { stage.hasStopped }
        }
        let lines = log.lines
        #expect(lines.filter { $0.hasPrefix("warning") }.count == 2, "\(lines)")
        #expect(lines.filter { $0.hasPrefix("info") }.count <= 2, "\(lines)")
    }
}

extension Stage {
    /// How many different connections the client would ask on.
    func usable(_ client: PolicyClient) -> Int {
        Set((0..<10).compactMap { _ in client.usableConnection().map(ObjectIdentifier.init) }).count
    }
}

/// Keeps what is logged.
private final class Log: Sendable {
    private let kept = Mutex<[String]>([])
    var lines: [String] { kept.withLock { $0 } }

    var logger: Logger { Logger(label: "test") { _ in Handler(log: self) } }

    private struct Handler: LogHandler {
        let log: Log
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        init(log: Log) { self.log = log }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) { log.kept.withLock { $0.append("\(event.level): \(event.message)") } }
    }
}
