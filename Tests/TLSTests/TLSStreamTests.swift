import Bytes
import EventLoop
import Foundation
import TestSupport
import Testing

@testable import TLS

/// A worker that is a client.
private actor Client {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
    private let waiter: Waiter
    private let thread: SystemThread
    private var stream: TLSStream?

    init() throws {
        let loop = try EventLoop()
        self.loop = loop
        waiter = Waiter(loop: loop)
        thread = try SystemThread(name: "client") { loop.run() }
    }

    /// Connects to a port of 127.0.0.1. Returns why it failed.
    nonisolated func connect(
        to port: Int, as name: String, _ settings: TLSClientSettings, timeout: Int64 = 10_000
    ) async throws -> String? {
        try await Task(executorPreference: loop) { try await self.open(port, name, settings, timeout) }.value
    }

    private func open(_ port: Int, _ name: String, _ settings: TLSClientSettings, _ timeout: Int64) async throws -> String? {
        stream?.close()
        let context = try TLSContext(client: settings)
        let address = try SocketAddress.resolve(host: "127.0.0.1", port: port)[0]
        let socket = try await Socket.connect(to: address, on: waiter, timeoutMilliseconds: timeout)
        do throws(TLSFailure) {
            stream = try await TLSStream.connect(
                over: socket, to: name, context, on: waiter, timeoutMilliseconds: timeout)
            return nil
        } catch {
            #expect(!socket.isOpen)
            return error.description
        }
    }

    /// Sends `text`, and receives to the end of a line, or what ended the connection.
    nonisolated func exchange(_ text: String) async -> String {
        await Task(executorPreference: loop) { await self.converse(text) }.value
    }

    private func converse(_ text: String) async -> String {
        guard let stream else { return "not connected" }
        let (output, input) = (ByteBuffer(capacity: 1024), ByteBuffer(capacity: 16))
        output.append(utf8: text)
        while true {
            if stream.isWritable, !output.isEmpty || stream.hasUnsent, case .failed(let code) = stream.send(output) {
                return stream.text(of: code)
            }
            if stream.isReadable {
                switch stream.receive(into: input, room: 7) {
                case .received:
                    if input[input.count - 1] == UInt8(ascii: "\n") { return input.bytes.text }
                    continue
                case .wouldBlock: break
                case .ended: return "ended"
                case .failed(let code): return stream.text(of: code)
                }
            }
            await waiter.park()
        }
    }

    /// Sends until no more fits; then calls `whenFull` once, and sends the rest. Returns how often it had to wait.
    nonisolated func send(_ count: Int, whenFull: @escaping @Sendable () -> Void) async -> Int {
        await Task(executorPreference: loop) { await self.push(count, whenFull) }.value
    }

    private func push(_ count: Int, _ whenFull: () -> Void) async -> Int {
        guard let stream else { return 0 }
        let output = ByteBuffer(capacity: count)
        for index in 0..<count / 4 { output.append(bigEndian: UInt32(index)) }
        var waits = 0
        while stream.send(output) == .wouldBlock {
            #expect(!output.isEmpty)
            if waits == 0 { whenFull() }
            waits += 1
            while !stream.isWritable { await waiter.park() }
        }
        #expect(output.isEmpty && !stream.hasUnsent)
        return waits
    }

    nonisolated func stop() async { await Task(executorPreference: loop) { await self.end() }.value }

    private func end() {
        stream?.close()
        loop.stop()
    }
}

@Suite(.serialized) struct `A TLS stream` {
    private let authority: TestAuthority
    private let identity: (certificate: String, key: String)
    private let client: Client
    private var trusting: TLSClientSettings { TLSClientSettings(authoritiesFile: authority.file) }

    init() throws {
        authority = try TestAuthority()
        identity = try authority.issue("server", for: "DNS:localhost,IP:127.0.0.1")
        client = try Client()
    }

    @Test(arguments: ["-tls1_3", "-tls1_2"]) func `carries bytes both ways`(_ version: String) async throws {
        let server = try TLSServer(authority, identity, "-rev", version)
        #expect(try await client.connect(to: server.port, as: "localhost", trusting) == nil)
        #expect(await client.exchange("hello\n") == "olleh\n")
        let long = String(repeating: "0123456789", count: 1500)
        #expect(await client.exchange(long + "\n") == String(long.reversed()) + "\n")
        await client.stop()
    }

    @Test(arguments: ["localhost", "127.0.0.1"]) func `is for the name and the address of its server`(_ name: String) async throws {
        let server = try TLSServer(authority, identity, "-rev")
        #expect(try await client.connect(to: server.port, as: name, trusting) == nil)
        await client.stop()
    }

    @Test(arguments: [
        ("redis.internal", "hostname mismatch"), ("127.0.0.2", "IP address mismatch"), ("::1", "IP address mismatch"),
    ])
    func `is refused by another name`(_ name: String, _ reason: String) async throws {
        let server = try TLSServer(authority, identity, "-rev")
        let failure = try await client.connect(to: server.port, as: name, trusting)
        #expect(failure == "the server's certificate is refused: \(reason)")
        await client.stop()
    }

    @Test func `is refused where nobody trusted has signed`() async throws {
        let server = try TLSServer(authority, identity, "-rev")
        let stranger = try TestAuthority()
        for settings in [TLSClientSettings(), TLSClientSettings(authoritiesFile: stranger.file)] {
            let failure = try await client.connect(to: server.port, as: "localhost", settings)
            #expect(failure?.hasPrefix("the server's certificate is refused: ") == true, "\(failure ?? "accepted")")
        }
        await client.stop()
    }

    @Test func `shows its certificate where it has one`() async throws {
        let server = try TLSServer(
            authority, identity, "-rev", "-Verify", "1", "-verify_return_error", "-CAfile",
            authority.file)
        let identity = try authority.issue("client", for: "DNS:client")
        var settings = trusting
        (settings.certificateFile, settings.keyFile) = (identity.certificate, identity.key)
        #expect(try await client.connect(to: server.port, as: "localhost", settings) == nil)
        #expect(await client.exchange("me\n") == "em\n")
        // In TLS 1.3 a client hears only after its handshake that it isn't let in.
        #expect(try await client.connect(to: server.port, as: "localhost", trusting) == nil)
        #expect(await client.exchange("me\n").contains("certificate required"))
        await client.stop()
    }

    @Test func `is not made with TLS 1_1`() async throws {
        let server = try TLSServer(
            authority, identity, "-rev", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
        let failure = try await client.connect(to: server.port, as: "localhost", trusting)
        #expect(failure?.hasPrefix("cannot shake hands over TLS: ") == true)
        await client.stop()
    }

    @Test func `is not waited for longer than allowed`() async throws {
        let silent = try Listener.tcp(SocketAddress.resolve(host: "127.0.0.1", port: 0)[0])
        let failure = try await client.connect(to: silent.address.port, as: "localhost", trusting, timeout: 30)
        #expect(failure == "the TLS handshake took too long")
        await client.stop()
    }

    @Test func `says so where the server doesn't speak TLS`() async throws {
        let plain = Process()
        plain.executableURL = URL(filePath: "/usr/bin/env")
        let port = try freePort()
        plain.arguments = ["redis-server", "--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--dir", authority.directory.path]
        plain.standardOutput = FileHandle.nullDevice
        try plain.run()
        defer { kill(plain.processIdentifier, SIGKILL) }
        var failure: String?
        repeat { failure = try? await client.connect(to: port, as: "localhost", trusting, timeout: 500) } while failure == nil
        #expect(failure?.contains("TLS handshake") == true, "\(failure ?? "")")
        await client.stop()
    }

    @Test func `waits while its server reads nothing, and loses no byte`() async throws {
        let server = try TLSServer(authority, identity, "-quiet", "-naccept", "1")
        #expect(try await client.connect(to: server.port, as: "localhost", trusting) == nil)
        server.pause()
        let count = 8 << 20
        let (process, done) = (server.identifier, server.output)
        let waits = await client.send(count) { kill(process, SIGCONT) }
        #expect(waits > 0)
        while try Data(contentsOf: done).count < count { usleep(20_000) }
        let expected = ByteBuffer(capacity: count)
        for index in 0..<count / 4 { expected.append(bigEndian: UInt32(index)) }
        #expect(try Data(contentsOf: done) == Data(expected.bytes.array))
        await client.stop()
    }

    @Test func `tells an announced end from a cut`() async throws {
        let server = try TLSServer(authority, identity, "-rev")
        #expect(try await client.connect(to: server.port, as: "localhost", trusting) == nil)
        // What s_server takes for the wish to close.
        #expect(await client.exchange("CLOSE\n") == "ended")
        var cut: TLSServer? = try TLSServer(authority, identity, "-rev")
        #expect(try await client.connect(to: cut!.port, as: "localhost", trusting) == nil)
        async let ending = client.exchange("")
        cut = nil
        let cuts = ["the peer closed the connection without ending TLS", "Connection reset by peer"]
        #expect(await cuts.contains(ending))
        await client.stop()
    }
}

@Suite struct `A TLS context` {
    @Test func `says what is wrong with its files`() throws {
        let authority = try TestAuthority()
        let (first, second) = try (authority.issue("first", for: "DNS:a"), authority.issue("second", for: "DNS:b"))
        let broken = authority.path("broken.pem")
        try Data("no certificate".utf8).write(to: URL(filePath: broken))
        for (settings, message) in [
            (TLSClientSettings(authoritiesFile: "/nowhere.pem"), "cannot read the authorities in /nowhere.pem: "),
            (TLSClientSettings(authoritiesFile: broken), "cannot read the authorities in \(broken): "),
            (TLSClientSettings(certificateFile: broken, keyFile: first.key), "cannot read the certificate in \(broken): "),
            (TLSClientSettings(certificateFile: first.certificate, keyFile: broken), "cannot read the key in \(broken): "),
            (TLSClientSettings(certificateFile: first.certificate, keyFile: second.key), "cannot read the key in \(second.key): key values mismatch"),
            (TLSClientSettings(certificateFile: first.certificate), "there is a client certificate, but no key for it"),
            (TLSClientSettings(keyFile: first.key), "there is a key, but no client certificate for it"),
        ] {
            let failure = #expect(throws: TLSFailure.self) { try TLSContext(client: settings) }
            #expect(failure?.description.hasPrefix(message) == true, "\(failure?.description ?? "")")
        }
    }
}
