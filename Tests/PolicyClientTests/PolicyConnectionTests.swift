import Bytes
import EventLoop
import PolicyProtocol
import Testing

@testable import PolicyClient

extension Stage {
    /// A connection that stands, and the daemon's end of it.
    func connect(
        _ configuration: PolicyClient.Configuration = .patient, greeting: [UInt8] = Frames.hello()
    ) async throws -> (FakePeer, PolicyConnection) {
        let (peer, connection) = try await meet(configuration, greeting: greeting)
        guard let connection else { throw failure ?? ProtocolError(.internalFailure, "no connection and no reason") }
        return (peer, connection)
    }

    /// Asks about a request; the check says what becomes of it.
    @discardableResult
    func ask(_ connection: PolicyConnection, with check: PendingCheck = PendingCheck(), authorization: String = "") -> PendingCheck {
        check.waiter = Waiter(loop: loop)
        let (get, host, path, nobody) = (Array("GET".utf8), Array("localhost".utf8), Array("/".utf8), [UInt8]())
        let (name, value) = (Array("authorization".utf8), Array(authorization.utf8))
        connection.send(
            check, method: get.span, scheme: .http, authority: host.span, target: path.span, peerAddress: nobody.span,
            peerPort: 1
        ) { writer in
            if !authorization.isEmpty { writer.header(name: name.span, value: value.span) }
        }
        return check
    }

    /// Returns when the client has read everything that was sent to it.
    func settle(_ peer: FakePeer) async {
        peer.send(Frames.ping(4_711))
        while let frame = await peer.frame(), !(frame.type == .pong && frame.id == 4_711) {}
    }

    /// Why the connection has ended, once it has.
    func ending() async -> String {
        await until { closingWords != nil }
        return closingWords ?? ""
    }
}

extension PendingCheck {
    /// The reason of the verdict, or of there being none.
    func outcome() async -> String {
        await wait()
        switch state {
        case .answered: return verdict.map { reason(of: $0) } ?? "no verdict"
        case .lost(let loss): return loss.reason
        case .idle, .waiting: return "\(state)"
        }
    }

    private func reason(of verdict: VerdictMessage) -> String {
        let payload = self.payload
        return verdict.reason.bytes(in: payload.bytes).text
    }
}

@Suite struct `A connection to a daemon` {
    @Test func `brings each verdict to the request it answers, in any order`() async throws {
        try await Stage.run { stage in
            let (peer, connection) = try await stage.connect()
            let checks = (0..<5).map { _ in stage.ask(connection) }
            let frames = await peer.frames(5)
            #expect(frames.map(\.id) == [1, 2, 3, 4, 5])
            for id in [UInt32(3), 1, 5, 4, 2] { peer.send(Frames.allow(id, reason: "reason-\(id)")) }
            for (index, check) in checks.enumerated() { #expect(await check.outcome() == "reason-\(index + 1)") }
        }
    }

    @Test func `sends what a turn asks in one piece`() async throws {
        try await Stage.run { stage in
            let (peer, connection) = try await stage.connect()
            for _ in 0..<100 { stage.ask(connection) }
            let before = peer.receiveCount
            #expect(await peer.frames(100).count == 100)
            // 1024 bytes a receive, and no more receives than that takes.
            #expect(peer.receiveCount - before <= 12)
        }
    }

    @Test func `reads a verdict wherever it is split`() async throws {
        try await Stage.run { stage in
            let (peer, connection) = try await stage.connect()
            let check = stage.ask(connection)
            _ = await peer.frame()
            for byte in Frames.allow(1) {
                #expect(check.isWaiting)
                peer.send([byte])
                await stage.turns(3)
            }
            #expect(await check.outcome() == "allowed")
        }
    }

    @Test func `denies one request for a malformed verdict, and goes on`() async throws {
        try await Stage.run { stage in
            let (peer, connection) = try await stage.connect()
            let (first, second) = (stage.ask(connection), stage.ask(connection))
            peer.send(Frames.raw(0xC3, id: 1, payload: [0x81, 0, 1, 9]))
            peer.send(Frames.allow(2))
            #expect(await first.outcome() == "policy-verdict-malformed")
            #expect(await second.outcome() == "allowed")
            #expect(connection.isUsable)
        }
    }

    private static let fatal: [(String, [UInt8])] = [
        ("frame-malformed", Array("HTTP/1.1 400 Bad Request\r\n".utf8)),
        ("frame-unknown", Frames.raw(0xFF)),
        ("frame-too-large", [0xC3, 0x00, 0x40, 0x00]),
        ("frame-unexpected", Frames.raw(0xC2, id: 1)),
        ("frame-unexpected", Frames.hello()),
        ("frame-unexpected", Frames.allow(2)),
        ("frame-unexpected", Frames.allow(0)),
        ("frame-unexpected", Frames.allow(.max)),
        ("frame-unexpected", Frames.allow(1) + Frames.allow(1)),
        ("field-malformed", Frames.raw(0xC5, payload: [1])),
        ("field-unknown", Frames.raw(0xC6, payload: [0x90, 0, 0])),
    ]

    @Test(arguments: fatal)
    func `ends, and says why, where the daemon breaks the protocol`(_ code: String, _ bytes: [UInt8]) async throws {
        try await Stage.run { stage in
            let (peer, connection) = try await stage.connect()
            let check = stage.ask(connection)
            _ = await peer.frame()
            peer.send(bytes)
            let report = try #require(await peer.frame())
            #expect(report.type == .error)
            #expect(try ErrorReport.parse(report.payload.span, id: 0).code == code)
            #expect(await peer.frame() == nil)
            #expect(await stage.ending().hasPrefix(code))
            #expect(["policy-unreachable", "allowed"].contains(await check.outcome()))
            #expect(!connection.isUsable)
        }
    }

    @Test func `loses all in flight when the daemon closes`() async throws {
        try await Stage.run { stage in
            let (peer, connection) = try await stage.connect()
            let checks = (0..<3).map { _ in stage.ask(connection) }
            _ = await peer.frames(3)
            peer.send(Frames.allow(2))
            peer.close()
            #expect(await checks[0].outcome() == "policy-unreachable")
            #expect(await checks[1].outcome() == "allowed")
            #expect(await checks[2].outcome() == "policy-unreachable")
            #expect(await stage.ending() == "the daemon closed the connection")
        }
    }

    @Test func `loses at once what is asked after it has ended`() async throws {
        try await Stage.run { stage in
            let (peer, connection) = try await stage.connect()
            peer.close()
            _ = await stage.ending()
            #expect(!connection.isUsable)
            #expect(await stage.ask(connection).outcome() == "policy-unreachable")
        }
    }

    @Test func `repeats what the daemon says in an ERROR`() async throws {
        try await Stage.run { stage in
            let (peer, connection) = try await stage.connect()
            let check = stage.ask(connection)
            peer.send(Frames.error(.internalFailure))
            #expect(await stage.ending() == "the daemon reports internal-failure: no")
            #expect(await check.outcome() == "policy-unreachable")
        }
    }

    @Test func `answers a PING and skips what it may skip`() async throws {
        try await Stage.run { stage in
            let (peer, connection) = try await stage.connect()
            peer.send(Frames.raw(0x80, payload: [1, 2, 3]) + Frames.pong(99) + Frames.ping(7))
            let pong = try #require(await peer.frame())
            #expect(pong.type == .pong && pong.id == 7)
            #expect(connection.isUsable)
        }
    }

    @Test func `holds to the daemon's maximum in flight`() async throws {
        try await Stage.run { stage in
            let (peer, connection) = try await stage.connect(greeting: Frames.hello(maximumInFlight: 2))
            let first = stage.ask(connection)
            #expect(connection.isUsable)
            let second = stage.ask(connection)
            #expect(!connection.isUsable)
            #expect(await stage.ask(connection).outcome() == "policy-unreachable")
            peer.send(Frames.allow(2))
            #expect(await second.outcome() == "allowed")
            #expect(connection.isUsable)
            peer.send(Frames.allow(1))
            #expect(await first.outcome() == "allowed")
        }
    }

    @Test func `asks nothing that does not fit into a frame, and goes on`() async throws {
        try await Stage.run { stage in
            let (peer, connection) = try await stage.connect()
            let large = stage.ask(connection, authorization: String(repeating: "x", count: 20_000))
            #expect(await large.outcome() == "check-too-large")
            let small = stage.ask(connection)
            #expect(await peer.frame()?.id == 1)
            peer.send(Frames.allow(1))
            #expect(await small.outcome() == "allowed")
        }
    }

    @Test func `asks no more of a daemon that does not read`() async throws {
        try await Stage.run { stage in
            var configuration = PolicyClient.Configuration.patient
            configuration.maximumUnsentBytes = 100_000
            let (peer, connection) = try await stage.connect(configuration, greeting: Frames.hello(maximumInFlight: 10_000))
            var checks: [PendingCheck] = []
            while connection.isUsable, checks.count < 9_000 {
                checks.append(stage.ask(connection, authorization: String(repeating: "x", count: 1_000)))
            }
            #expect(checks.count < 9_000)
            _ = await peer.frames(checks.count)
            await stage.until { connection.isUsable }
            peer.send((1...UInt32(checks.count)).flatMap { Frames.allow($0) })
            for check in checks { #expect(await check.outcome() == "allowed") }
        }
    }

    @Test func `gives a check that was used again the verdict of its last question only`() async throws {
        try await Stage.run { stage in
            let (peer, connection) = try await stage.connect()
            let check = PendingCheck()
            stage.ask(connection, with: check)
            stage.ask(connection, with: check)
            peer.send(Frames.allow(1, reason: "first"))
            await stage.settle(peer)
            #expect(check.isWaiting)
            peer.send(Frames.allow(2, reason: "second"))
            #expect(await check.outcome() == "second")
            stage.ask(connection, with: check)
            #expect(check.verdict == nil)
        }
    }
}

@Suite struct `A late daemon` {
    @Test func `is not waited for, and its verdict is dropped`() async throws {
        try await Stage.run { stage in
            let (peer, connection) = try await stage.connect(.impatient)
            let check = stage.ask(connection)
            #expect(await check.outcome() == "policy-late")
            peer.send(Frames.allow(1))
            await stage.settle(peer)
            #expect(await check.outcome() == "policy-late")
            #expect(connection.isUsable)
        }
    }

    @Test func `still has in flight what was given up`() async throws {
        try await Stage.run { stage in
            let (peer, connection) = try await stage.connect(.impatient, greeting: Frames.hello(maximumInFlight: 1))
            #expect(await stage.ask(connection).outcome() == "policy-late")
            #expect(!connection.isUsable)
            peer.send(Frames.allow(1))
            await stage.settle(peer)
            #expect(connection.isUsable)
        }
    }

    @Test func `counts as down after three late answers, until it answers a PING`() async throws {
        try await Stage.run { stage in
            let (peer, connection) = try await stage.connect(.impatient)
            for _ in 0..<3 {
                #expect(connection.isUsable)
                #expect(await stage.ask(connection).outcome() == "policy-late")
            }
            #expect(!connection.isUsable)
            #expect(await peer.frames(3).map(\.type) == [.check, .check, .check])
            let probe = try #require(await peer.frame())
            #expect(probe.type == .ping)
            peer.send(Frames.allow(1) + Frames.allow(2) + Frames.allow(3) + Frames.pong(probe.id &+ 1))
            await stage.settle(peer)
            #expect(!connection.isUsable, "a late verdict, or any PONG, is no proof")
            peer.send(Frames.pong(probe.id))
            await stage.settle(peer)
            #expect(connection.isUsable)
        }
    }

    @Test func `is asked by one PING, however many answers are late at once`() async throws {
        try await Stage.run { stage in
            let (peer, connection) = try await stage.connect(.impatient)
            let checks = (0..<20).map { _ in stage.ask(connection) }
            for check in checks { #expect(await check.outcome() == "policy-late") }
            #expect(await peer.frames(20).allSatisfy { $0.type == .check })
            #expect(await peer.frame()?.type == .ping)
            peer.send(Frames.ping(1))
            #expect(await peer.frame()?.type == .pong)
        }
    }

    @Test func `that stays silent is left for a new connection`() async throws {
        try await Stage.run { stage in
            var configuration = PolicyClient.Configuration.impatient
            configuration.silenceMilliseconds = 0
            let (peer, connection) = try await stage.connect(configuration)
            #expect(await stage.ask(connection).outcome() == "policy-late")
            #expect(await stage.ending() == "no answer for more than 0 ms")
            _ = peer
        }
    }
}

@Suite struct `A daemon that drains` {
    @Test func `is asked nothing new, answers what is in flight, and is left`() async throws {
        try await Stage.run { stage in
            let (peer, connection) = try await stage.connect()
            let (first, second) = (stage.ask(connection), stage.ask(connection))
            _ = await peer.frames(2)
            peer.send(Frames.goAway() + Frames.allow(2))
            #expect(await second.outcome() == "allowed")
            #expect(!connection.isUsable)
            #expect(first.isWaiting)
            peer.send(Frames.allow(1))
            #expect(await first.outcome() == "allowed")
            #expect(await peer.frame() == nil)
            #expect(await stage.ending() == "the daemon is draining")
        }
    }

    @Test func `is left at once where nothing is in flight`() async throws {
        try await Stage.run { stage in
            let (peer, _) = try await stage.connect()
            peer.send(Frames.goAway())
            #expect(await peer.frame() == nil)
        }
    }

    @Test func `may say so in one piece with its HELLO`() async throws {
        try await Stage.run { stage in
            let (peer, _) = try await stage.connect(greeting: Frames.hello() + Frames.goAway())
            #expect(await peer.frame() == nil)
            #expect(await stage.ending() == "the daemon is draining")
        }
    }
}

@Suite struct `The exchange of HELLOs` {
    @Test func `tells what the daemon wants and owns`() async throws {
        try await Stage.run { stage in
            let (_, connection) = try await stage.connect(greeting: Frames.hello(wanted: ["authorization", "x-api-key"]))
            #expect(connection.session.wantedHeaders == [Array("authorization".utf8), Array("x-api-key".utf8)])
            #expect(connection.session.hello.ownedHeaders == ["x-user-id"])
        }
    }

    @Test func `may come in pieces`() async throws {
        try await Stage.run { stage in
            let daemon = try FakeDaemon(loop: stage.loop)
            let client = try stage.keepAsking([daemon.path])
            let peer = await daemon.accept()
            _ = await peer.frame()
            for byte in Frames.hello() {
                peer.send([byte])
                await stage.turns(2)
            }
            await stage.until { client.usableConnection() != nil }
        }
    }

    private static let refused: [(String, [UInt8])] = [
        ("frame-malformed", Array("HTTP/1.1 400 Bad Request\r\n".utf8)),
        ("hello-expected: another frame", Frames.ping(1)),
        ("hello-expected: the daemon reports version-unsupported", Frames.error(.versionUnsupported)),
        ("frame-too-large", [0xC1, 0x01, 0x00, 0x00]),
        ("field-missing", Frames.raw(0xC1, payload: [0x81, 0, 9] + Array("gatehouse".utf8))),
        ("field-malformed", Frames.hello(maximumFrameBytes: 131_072)),
    ]

    @Test(arguments: refused)
    func `ends where the daemon has none to offer`(_ words: String, _ greeting: [UInt8]) async throws {
        try await Stage.run { stage in
            let (peer, connection) = try await stage.meet(greeting: greeting)
            #expect(connection == nil)
            #expect(stage.failure.map { "\($0)".hasPrefix(words) } == true, "\(String(describing: stage.failure))")
            #expect(await peer.frame() == nil)
        }
    }

    @Test func `is not waited for beyond its deadline`() async throws {
        try await Stage.run { stage in
            var configuration = PolicyClient.Configuration.patient
            configuration.helloTimeoutMilliseconds = 0
            let (peer, connection) = try await stage.meet(configuration, greeting: [])
            #expect(connection == nil)
            #expect(stage.failure.map { "\($0)".hasPrefix("hello-late") } == true)
            #expect(await peer.frame() == nil)
        }
    }
}
