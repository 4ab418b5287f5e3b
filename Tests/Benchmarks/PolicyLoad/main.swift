import ArgumentParser
import Bytes
import EventLoop
import Foundation
import JSON
import JSONWebToken
import PolicyProtocol

/// Keeps CHECKs in flight over one connection to a policy daemon, and says what a decision costs it.
///
/// Limits are the daemon's: start it with one that nobody reaches (`RATE_LIMIT=1000000000`), and `WORKERS=1`.
struct PolicyLoad: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "policy-load", abstract: "Measure a policy daemon.")

    @Option(help: "The daemon's socket.") var socket: String
    @Option(help: "The daemon's process id, for its CPU time.") var pid: Int32?
    @Option(help: "How many users' tokens are used in turn.") var users = 10_000
    @Option(help: "How many CHECKs are unanswered at any time.") var inFlight = 256
    @Option(help: "How many decisions are measured.") var decisions = 4_000_000

    func run() throws {
        guard let secret = ProcessInfo.processInfo.environment["JWT_SECRET"], let key = HMACKey(secret: Array(secret.utf8))
        else { throw ValidationError("JWT_SECRET is not set: the tokens are signed with it") }
        let loop = try EventLoop()
        let client = LoadClient(loop: loop, checks: try checks(signedWith: key))
        let thread = try SystemThread(name: "policy-load") { loop.run() }
        let done = DispatchSemaphore(value: 0)
        let (socket, users, inFlight, decisions, pid) = (socket, users, inFlight, decisions, pid)
        Task(executorPreference: loop) {
            do {
                try await client.connect(to: socket)
                // The first round verifies every token; what is measured are the decisions on known ones.
                let warmUp = try await client.ask(users, inFlight: inFlight)
                let before = pid.map(cpuSeconds)
                let start = Clock.monotonicNanoseconds()
                let measured = try await client.ask(decisions, inFlight: inFlight)
                let seconds = Double(Clock.monotonicNanoseconds() - start) / 1e9
                print("allowed \(measured.allowed) of \(decisions) (first round: \(warmUp.allowed) of \(users))")
                print("decisions/s by the clock: \(Int(Double(decisions) / seconds))")
                if let pid, let before {
                    let microseconds = (cpuSeconds(pid) - before) * 1e6 / Double(decisions)
                    print("CPU µs a decision: \((microseconds * 1000).rounded() / 1000)")
                    print("decisions/s of one core: \(Int(1e6 / microseconds))")
                }
            } catch {
                print("failed: \(error)")
            }
            await client.stop()
            done.signal()
        }
        done.wait()
        thread.join()
    }

    /// A CHECK a user, as a proxy would send it; the id is filled in for each use.
    private func checks(signedWith key: HMACKey) throws -> [[UInt8]] {
        let expiry = Clock.unixMilliseconds() / 1000 + 86_400
        return try (0..<users).map { user in
            let claims = JSONObject([
                ("userId", .string("usr_\(user)")), ("email", .string("user\(user)@example.com")),
                ("role", .string("developer")), ("iat", .number(JSONNumber(expiry - 86_400))),
                ("exp", .number(JSONNumber(expiry))),
            ])
            let value = Array("Bearer \(TokenSigner.sign(claims, with: key))".utf8)
            let buffer = ByteBuffer(capacity: 1024)
            let (method, authority, target) = (Array("GET".utf8), Array("localhost:3000".utf8), Array("/api/projects".utf8))
            let (peer, name) = (Array("127.0.0.1".utf8), Array("authorization".utf8))
            var writer = CheckWriter(
                id: 0, method: method.span, scheme: .http, authority: authority.span, target: target.span,
                peerAddress: peer.span, peerPort: 40_000, to: buffer, maximumFrameBytes: ProtocolLimits.defaultFrameBytes)
            writer.header(name: name.span, value: value.span)
            try writer.finish()
            return buffer.bytes.array
        }
    }
}

/// User and system time of a process so far.
@Sendable func cpuSeconds(_ pid: Int32) -> Double {
    guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8), let end = text.lastIndex(of: ")")
    else { return 0 }
    let fields = text[end...].split(separator: " ")
    guard fields.count > 13, let user = Double(fields[12]), let system = Double(fields[13]) else { return 0 }
    return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
}

actor LoadClient {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
    private let checks: [[UInt8]]
    private var socket: Socket?
    private let waiter: Waiter
    private let input = ByteBuffer(capacity: 256 * 1024)
    private let output = ByteBuffer(capacity: 256 * 1024)
    private var ids = CheckIDs()

    init(loop: EventLoop, checks: [[UInt8]]) {
        self.loop = loop
        self.checks = checks
        waiter = Waiter(loop: loop)
    }

    func connect(to path: String) async throws {
        let address = try SocketAddress.unix(path: path)
        let socket = try await Socket.connect(to: address, on: waiter, timeoutMilliseconds: 1000)
        socket.waiter = waiter
        self.socket = socket
        try ClientHello(name: "policy-load").encode(to: output)
        guard socket.send(output) == .sent else { throw ProtocolError(.helloExpected, "the HELLO could not be sent") }
        let input = self.input
        while true {
            let bytes = input.bytes
            if case .frame(let header) = try FrameHeader.parse(bytes, maximumFrameBytes: ProtocolLimits.helloBytes) {
                input.consume(header.frameByteCount)
                return
            }
            try await receive()
        }
    }

    /// Asks `count` times and waits for all answers.
    func ask(_ count: Int, inFlight: Int) async throws -> (allowed: Int, denied: Int) {
        var (sent, allowed, denied) = (0, 0, 0)
        while allowed + denied < count {
            while sent < count, sent - allowed - denied < inFlight {
                try append(sent)
                sent += 1
            }
            while socket?.send(output) == .wouldBlock, socket?.isReadable == false { await waiter.park() }
            try await receive()
            while let isAllowed = try nextVerdict() {
                if isAllowed { allowed += 1 } else { denied += 1 }
            }
        }
        return (allowed, denied)
    }

    private func nextVerdict() throws -> Bool? {
        let input = self.input
        let bytes = input.bytes
        let limit = ProtocolLimits.defaultFrameBytes
        guard case .frame(let header) = try FrameHeader.parse(bytes, maximumFrameBytes: limit) else { return nil }
        guard header.type == .verdict else { throw ProtocolError(.frameUnexpected, "no verdict") }
        let verdict = try VerdictMessage.parse(bytes.extracting(header.payloadRange))
        input.consume(header.frameByteCount)
        return verdict.decision == .allow
    }

    private func append(_ number: Int) throws {
        guard let id = ids.next() else { throw ProtocolError(.idReused, "out of ids") }
        let start = output.count
        output.append(checks[number % checks.count])
        for byte in 0..<4 { output[start + 4 + byte] = UInt8(truncatingIfNeeded: id >> UInt32(24 - 8 * byte)) }
    }

    private func receive() async throws {
        guard let socket else { return }
        while !socket.isReadable { await waiter.park() }
        switch socket.receive(into: input, room: 64 * 1024) {
        case .received, .wouldBlock: return
        case .ended: throw ProtocolError(.helloExpected, "the daemon closed the connection")
        case .failed(let code): throw SystemError("receive", code: code)
        }
    }

    func stop() {
        socket?.close()
        loop.stop()
    }
}

PolicyLoad.main()
