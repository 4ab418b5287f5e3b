import Bytes
import EventLoop
import Logging
import PolicyClient
import PolicyProtocol
import Testing

/// A program's side of the policy socket, whole: a loop on a thread of its own, and an actor on that, which any task may ask.
private actor PolicyAsker {
    private nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
    private let client: PolicyClient

    private init(socketPath: String, loop: EventLoop) throws {
        self.loop = loop
        client = PolicyClient(
            [try .init(socketPath: socketPath)], configuration: .init(name: "my-server"), loop: loop, logger: Logger(label: "my-server"))
    }

    /// Asks the daemon at this socket until ``stop()``.
    static func start(socketPath: String) throws -> PolicyAsker {
        let loop = try EventLoop()
        let asker = try PolicyAsker(socketPath: socketPath, loop: loop)
        _ = try SystemThread(name: "policy") { loop.run() }
        Task(executorPreference: loop) { await asker.keepConnected() }
        return asker
    }

    private func keepConnected() async {
        await client.run()
        // On the loop's own thread, as everything here.
        loop.stop()
    }

    func stop() { client.stop() }

    /// What is to be done to the headers of an allowed request before it goes on, in this order: a value to set, or nil to take out
    /// every field of the name. Nil where the request may not pass, for whatever reason.
    ///
    /// - Parameter headers: by their names in lower case.
    func changes(
        toAllowed method: String, _ target: String, host: String, headers: [String: String], from address: String
    ) async -> [(name: String, value: String?)]? {
        let waiter = Waiter(loop: loop)
        guard let connection = await connection(waiter) else { return nil }
        let check = PendingCheck()
        check.waiter = waiter
        connection.send(
            check, method: Array(method.utf8).span, scheme: .https, authority: Array(host.utf8).span, target: Array(target.utf8).span,
            peerAddress: Array(address.utf8).span, peerPort: nil
        ) { check in
            for name in connection.session.wantedHeaders {
                guard let value = headers[name.span.text] else { continue }
                check.header(name: name.span, value: Array(value.utf8).span)
            }
        }
        await check.wait()
        guard let verdict = check.verdict, verdict.decision == .allow else { return nil }
        // No client may say these of itself.
        var changes: [(name: String, value: String?)] = connection.session.hello.ownedHeaders.map { ($0, nil) }
        let payload = check.payload
        var position = 0
        while let operation = VerdictMessage.nextOperation(on: .request, in: payload.bytes, from: &position) {
            let value = operation.value.bytes(in: payload.bytes).text
            changes.append((operation.name.bytes(in: payload.bytes).text, operation.kind == .set ? value : nil))
        }
        return changes
    }

    /// One that can be asked on, if need be once a daemon that is restarted is there again.
    private func connection(_ waiter: Waiter) async -> PolicyConnection? {
        if let connection = client.usableConnection() { return connection }
        return await client.awaitConnection(on: waiter)
    }
}

@Suite struct `A program that asks a policy daemon` {
    @Test func `gets what is to be done to an allowed request, and nothing for one that is denied`() async throws {
        try await Stage.run { stage in
            let daemon = try FakeDaemon(loop: stage.loop)
            let asker = try PolicyAsker.start(socketPath: daemon.path)
            let headers = ["authorization": "Bearer x", "cookie": "a=b"]
            async let first = asker.changes(toAllowed: "GET", "/a", host: "a.example", headers: headers, from: "192.0.2.1")
            let peer = await daemon.welcome()
            let check = try #require(await peer.frame())
            #expect(check.type == .check)
            #expect(check.payload.span.text.contains("Bearer x") && !check.payload.span.text.contains("a=b"))
            peer.send(Frames.allow(check.id, user: "ada"))
            let changes = try #require(await first)
            #expect(changes.map(\.name) == ["x-user-id", "x-user-id"] && changes.map(\.value) == [nil, "ada"])

            async let second = asker.changes(toAllowed: "GET", "/a", host: "a.example", headers: [:], from: "192.0.2.1")
            peer.send(Frames.deny(try #require(await peer.frame()).id))
            #expect(await second == nil)
            await asker.stop()
            #expect(await peer.frame() == nil, "it leaves")
        }
    }
}
