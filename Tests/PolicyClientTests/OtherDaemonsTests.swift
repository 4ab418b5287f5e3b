import EventLoop
import PolicyClient
import PolicyProtocol
import Testing

@Suite struct `A client that is to ask other daemons` {
    @Test func `asks those before until one of the others greets, and there from then on`() async throws {
        try await Stage.run { stage in
            let (daemon, other) = (try FakeDaemon(loop: stage.loop), try FakeDaemon(loop: stage.loop))
            let client = try stage.keepAsking([daemon.path])
            let peer = await daemon.welcome()
            await stage.until { client.usableConnection() != nil }
            let first = try #require(client.usableConnection())
            client.ask([try PolicyClient.Endpoint(socketPath: other.path)], configuration: .patient)
            let next = await other.accept()
            _ = await next.frame()
            #expect(client.usableConnection() === first, "none of the others has greeted yet")
            let last = stage.ask(first)
            next.send(Frames.hello())
            await stage.until { client.usableConnection() !== first }
            let check = stage.ask(try #require(client.usableConnection()))
            #expect(await next.frame()?.type == .check)
            next.send(Frames.allow(1))
            #expect(await check.outcome() == "allowed")
            // What was asked of the one before is answered by it, and only then is it left.
            peer.send(Frames.allow(try #require(await peer.frame()).id))
            #expect(await last.outcome() == "allowed")
            #expect(await peer.frame() == nil)
            #expect(client.usableConnection() != nil)
        }
    }

    @Test func `asks nobody where none of the others can be had`() async throws {
        try await Stage.run { stage in
            let daemon = try FakeDaemon(loop: stage.loop)
            let client = try stage.keepAsking([daemon.path])
            let peer = await daemon.welcome()
            await stage.until { client.usableConnection() != nil }
            client.ask([try PolicyClient.Endpoint(socketPath: FakeDaemon.newPath())], configuration: .patient)
            #expect(await peer.frame() == nil, "the one before is left")
            #expect(client.usableConnection() == nil)
        }
    }

    @Test(arguments: [true, false])
    func `asks those before for a while, where one of the others listens and does not greet`(_ isSoon: Bool) async throws {
        try await Stage.run { stage in
            var configuration = PolicyClient.Configuration.patient
            configuration.helloTimeoutMilliseconds = 20
            configuration.successionMilliseconds = isSoon ? Stage.hangMilliseconds : 0
            let (daemon, other) = (try FakeDaemon(loop: stage.loop), try FakeDaemon(loop: stage.loop))
            let client = try stage.keepAsking([daemon.path])
            _ = await daemon.welcome()
            await stage.until { client.usableConnection() != nil }
            client.ask([try PolicyClient.Endpoint(socketPath: other.path)], configuration: configuration)
            _ = await other.accept()
            _ = await other.accept()
            #expect((client.usableConnection() != nil) == isSoon)
        }
    }

    @Test func `forgets those that it was to ask in between, and asks the first ones meanwhile`() async throws {
        try await Stage.run { stage in
            let daemons = try (0..<3).map { _ in try FakeDaemon(loop: stage.loop) }
            let client = try stage.keepAsking([daemons[0].path])
            let peer = await daemons[0].welcome()
            await stage.until { client.usableConnection() != nil }
            let first = client.usableConnection()
            client.ask([try PolicyClient.Endpoint(socketPath: daemons[1].path)], configuration: .patient)
            let between = await daemons[1].accept()
            _ = await between.frame()
            client.ask([try PolicyClient.Endpoint(socketPath: daemons[2].path)], configuration: .patient)
            #expect(await between.frame() == nil)
            #expect(client.usableConnection() === first)
            _ = await daemons[2].welcome()
            await stage.until { client.usableConnection() !== first }
            #expect(client.usableConnection() != nil)
            #expect(await peer.frame() == nil)
        }
    }

    @Test func `has a request that waits for a daemon asked of the others`() async throws {
        try await Stage.run { stage in
            let (silent, other) = (try FakeDaemon(loop: stage.loop), try FakeDaemon(loop: stage.loop))
            let client = try stage.keepAsking([silent.path])
            _ = await silent.accept()
            stage.awaitConnection()
            client.ask([try PolicyClient.Endpoint(socketPath: other.path)], configuration: .patient)
            _ = await other.welcome()
            await stage.until { !stage.isAwaiting }
            let awaited = stage.awaited
            #expect(awaited != nil)
        }
    }

    @Test func `holds its next question to the new deadline, and the ones before to theirs`() async throws {
        try await Stage.run { stage in
            let daemon = try FakeDaemon(loop: stage.loop)
            let client = try stage.keepAsking([daemon.path])
            let peer = await daemon.welcome()
            await stage.until { client.usableConnection() != nil }
            let first = try #require(client.usableConnection())
            let patient = stage.ask(first)
            client.ask([try PolicyClient.Endpoint(socketPath: daemon.path)], configuration: .impatient)
            _ = await daemon.welcome()
            await stage.until { client.usableConnection() !== first }
            let impatient = stage.ask(try #require(client.usableConnection()))
            #expect(await impatient.outcome() == "policy-late")
            peer.send(Frames.allow(1))
            #expect(await patient.outcome() == "allowed")
        }
    }

    @Test func `stops at once in the middle of it`() async throws {
        try await Stage.run { stage in
            let (daemon, other) = (try FakeDaemon(loop: stage.loop), try FakeDaemon(loop: stage.loop))
            let client = try stage.keepAsking([daemon.path])
            _ = await daemon.welcome()
            await stage.until { client.usableConnection() != nil }
            stage.ask(client.usableConnection()!)
            client.ask([try PolicyClient.Endpoint(socketPath: other.path)], configuration: .patient)
            _ = await other.accept()
            client.stop()
            await stage.until { stage.hasStopped }
        }
    }
}
