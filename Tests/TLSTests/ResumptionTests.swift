import Bytes
import EventLoop
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import TLS

/// A worker that is either side of single connections.
private actor Worker {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
    private let waiter: Waiter
    private let thread: SystemThread

    init() throws {
        let loop = try EventLoop()
        self.loop = loop
        waiter = Waiter(loop: loop)
        thread = try SystemThread(name: "worker") { loop.run() }
    }

    /// Serves one client to its end, and says whether it brought a session back.
    nonisolated func serve(_ listener: Listener, _ context: TLSServerContext) async throws -> Bool {
        try await Task(executorPreference: loop) { try await self.accept(listener, context) }.value
    }

    private func accept(_ listener: Listener, _ context: TLSServerContext) async throws -> Bool {
        let acceptor = try Acceptor(listener, on: waiter)
        defer { acceptor.close() }
        while true {
            while !acceptor.mayAccept { await waiter.park() }
            guard case .connection(let socket, _) = acceptor.accept() else { continue }
            let stream = try await TLSStream.accept(
                over: socket, context, on: waiter, timeoutMilliseconds: 20_000, taking: HandshakeTurns(loop: loop))
            stream.waiter = waiter
            let isResumed = stream.isResumed
            await exchange("bye\n", on: stream)
            return isResumed
        }
    }

    /// Connects, has a line turned around, and says whether a session was brought back.
    nonisolated func ask(_ port: Int, _ settings: TLSClientSettings, _ sessions: TLSSessions) async throws -> Bool {
        try await Task(executorPreference: loop) { try await self.connect(port, settings, sessions) }.value
    }

    private func connect(_ port: Int, _ settings: TLSClientSettings, _ sessions: TLSSessions) async throws -> Bool {
        let address = try SocketAddress.resolve(host: "127.0.0.1", port: port)[0]
        let socket = try await Socket.connect(to: address, on: waiter, timeoutMilliseconds: 20_000)
        let stream = try await TLSStream.connect(
            over: socket, to: "localhost", TLSContext(client: settings), on: waiter, timeoutMilliseconds: 20_000, resuming: sessions)
        stream.waiter = waiter
        let isResumed = stream.isResumed
        await exchange("turn\n", on: stream)
        return isResumed
    }

    /// Sends a line and receives one, or the end.
    private func exchange(_ line: String, on stream: TLSStream) async {
        let (output, input) = (ByteBuffer(capacity: 16), ByteBuffer(capacity: 16))
        output.append(utf8: line)
        defer { stream.close() }
        while true {
            if !output.isEmpty, stream.isWritable { _ = stream.send(output) }
            if stream.isReadable {
                switch stream.receive(into: input) {
                case .received: if input.bytes.text.contains("\n") { return }
                case .wouldBlock: await waiter.park()
                case .ended, .failed: return
                }
            } else {
                await waiter.park()
            }
        }
    }

    nonisolated func stop() { loop.stop() }
}

/// A clock that a test sets.
private final class SetClock: Sendable {
    private let seconds = Mutex(Clock.unixMilliseconds() / 1000)

    var now: Int64 { seconds.withLock { $0 } }

    func advance(days: Int64) { seconds.withLock { $0 += days * 86_400 } }
}

@Suite(.serialized) struct `A session brought back` {
    private let authority: TestAuthority
    private let identity: (certificate: String, key: String)
    private let worker: Worker
    private let clock = SetClock()

    init() throws {
        authority = try TestAuthority()
        identity = try authority.issue("server", for: "DNS:localhost")
        worker = try Worker()
    }

    private func context(askingClients: Bool) throws -> TLSServerContext {
        var settings = TLSServerSettings(certificates: [CertificateFiles(certificate: identity.certificate, key: identity.key)])
        if askingClients { settings.clientCertificates = .init(authoritiesFile: authority.file, isRequired: true) }
        let clock = clock
        return try TLSServerContext(settings, tickets: TicketKeys(nowMilliseconds: { 0 }), nowUnixSeconds: { clock.now })
    }

    /// Has openssl connect, which stores its session in `file`, or brings that of the file back.
    private func connect(to port: Int, _ version: String, storing file: String, isReturning: Bool, as client: (certificate: String, key: String)) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments =
            ["openssl", "s_client", "-connect", "127.0.0.1:\(port)", version, "-CAfile", authority.file, "-cert", client.certificate, "-key", client.key]
            + ["-servername", "localhost", "-ign_eof"] + (isReturning ? ["-sess_in", file] : ["-sess_out", file])
        let input = Pipe()
        process.standardInput = input
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        input.fileHandleForWriting.write(Data("hello\n".utf8))
    }

    @Test(arguments: ["-tls1_2", "-tls1_3"])
    func `is taken until the client's certificate is over`(version: String) async throws {
        let client = try authority.issue("client", for: "DNS:client.test")
        let context = try context(askingClients: true)
        let port = try freePort()
        let listener = try Listener.tcp(SocketAddress.resolve(host: "127.0.0.1", port: port)[0])
        let file = authority.path("session")
        try connect(to: port, version, storing: file, isReturning: false, as: client)
        #expect(try await !worker.serve(listener, context))
        while try !FileManager.default.fileExists(atPath: file) || Data(contentsOf: URL(filePath: file)).isEmpty { usleep(2000) }
        try connect(to: port, version, storing: file, isReturning: true, as: client)
        #expect(try await worker.serve(listener, context))
        clock.advance(days: 3)
        try connect(to: port, version, storing: file, isReturning: true, as: client)
        #expect(try await !worker.serve(listener, context))
        worker.stop()
    }

    @Test(arguments: ["-tls1_2", "-tls1_3"])
    func `is offered until the server's certificate is over, and by what it was kept in alone`(version: String) async throws {
        let server = try TLSServer(authority, identity, "-rev", version)
        let trusting = TLSClientSettings(authoritiesFile: authority.file)
        let clock = clock
        let sessions = TLSSessions(nowUnixSeconds: { clock.now })
        #expect(try await !worker.ask(server.port, trusting, sessions))
        for _ in 0..<3 { #expect(try await worker.ask(server.port, trusting, sessions)) }
        #expect(try await !worker.ask(server.port, trusting, TLSSessions()))
        clock.advance(days: 3)
        #expect(try await !worker.ask(server.port, trusting, sessions))
        worker.stop()
    }
}
