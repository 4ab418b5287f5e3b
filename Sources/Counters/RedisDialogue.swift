import Bytes
import EventLoop
import TLS

/// Why there is no answer from Redis.
public struct RedisFailure: Error, CustomStringConvertible {
    public let description: String
}

/// How, and as whom, to go to a server.
struct RedisAccess: Sendable {
    let user: String?
    let password: String?
    let database: Int
    /// Nil for a connection without TLS.
    let tls: TLSContext?
    /// What the certificate is for, where that is not the host.
    let serverName: String?

    /// Says who we are, and where we want to be.
    var introduction: [[String]] {
        var commands: [[String]] = []
        if let user {
            commands.append(["AUTH", user, password ?? ""])
        } else if let password {
            commands.append(["AUTH", password])
        }
        if database != 0 { commands.append(["SELECT", String(database)]) }
        return commands
    }
}

extension RedisAddress {
    /// How to go to its servers, and to its sentinels.
    func access() throws(TLSFailure) -> (servers: RedisAccess, sentinels: RedisAccess) {
        let (context, name) = (try tls?.context(), tls?.serverName)
        return (
            RedisAccess(user: user, password: password, database: database, tls: context, serverName: name),
            RedisAccess(user: sentinelUser, password: sentinelPassword, database: 0, tls: context, serverName: name)
        )
    }
}

/// A talk with one Redis outside of the counting: some commands, and all of their replies.
final class RedisDialogue {
    let transport: any ByteStream
    private let waiter: Waiter
    private let timeoutMilliseconds: Int64
    private let input = ByteBuffer(capacity: 4096)
    private let output = ByteBuffer(capacity: 1024)
    /// What has to be said before anything else.
    private var introduction: [[String]]

    private init(_ transport: any ByteStream, _ introduction: [[String]], _ timeoutMilliseconds: Int64, on waiter: Waiter) {
        self.transport = transport
        self.introduction = introduction
        self.timeoutMilliseconds = timeoutMilliseconds
        self.waiter = waiter
        transport.waiter = waiter
    }

    /// Connects.
    ///
    /// - Parameters:
    ///   - timeoutMilliseconds: how long each may take: finding the host, connecting, TLS, and then every ``ask(_:unless:)``.
    ///   - isOver: whether to give up; wake the waiter when that changes.
    static func open(
        _ place: RedisAddress.Place, _ access: RedisAccess, _ lookup: HostLookup, timeoutMilliseconds: Int64, on waiter: Waiter,
        unless isOver: () -> Bool
    ) async throws(RedisFailure) -> RedisDialogue {
        let addresses = try await lookup.addresses(
            of: place, on: waiter, timeoutMilliseconds: timeoutMilliseconds, unless: isOver)
        let socket = try await connect(addresses, timeoutMilliseconds, on: waiter, unless: isOver)
        var transport: any ByteStream = socket
        if let context = access.tls {
            guard case .tcp(let host, _) = place else {
                socket.close()
                throw RedisFailure(description: "TLS is for TCP, not for a Unix socket")
            }
            do throws(TLSFailure) {
                transport = try await TLSStream.connect(
                    over: socket, to: access.serverName ?? host, context, on: waiter,
                    timeoutMilliseconds: timeoutMilliseconds, unless: isOver)
            } catch {
                throw RedisFailure(description: error.description)
            }
        }
        return RedisDialogue(transport, access.introduction, timeoutMilliseconds, on: waiter)
    }

    /// Tries one address after the other.
    private static func connect(
        _ places: [SocketAddress], _ timeoutMilliseconds: Int64, on waiter: Waiter, unless isOver: () -> Bool
    ) async throws(RedisFailure) -> Socket {
        var failure = RedisFailure(description: "its host has no address")
        for place in places {
            do throws(SystemError) {
                return try await Socket.connect(
                    to: place, on: waiter, timeoutMilliseconds: timeoutMilliseconds, unless: isOver)
            } catch {
                failure = RedisFailure(description: error.description)
            }
        }
        throw failure
    }

    func close() { transport.close() }

    /// Sends commands in one go, and returns their replies. A refused introduction is an error, a refused command a reply.
    func ask(_ commands: [[String]], unless isOver: () -> Bool) async throws(RedisFailure) -> [RedisValue] {
        try await ask(bytes: commands.map { $0.map { Array($0.utf8) } }, unless: isOver)
    }

    func ask(bytes commands: [[[UInt8]]], unless isOver: () -> Bool) async throws(RedisFailure) -> [RedisValue] {
        for command in introduction { output.appendCommand(command) }
        for command in commands { output.appendCommand(command) }
        let toSkip = introduction.count
        introduction = []
        waiter.setDeadline(afterMilliseconds: timeoutMilliseconds)
        defer { waiter.clearDeadline() }
        let replies = try await replies(toSkip + commands.count, unless: isOver)
        for case .error(let text) in replies.prefix(toSkip) { throw RedisFailure(description: text) }
        return Array(replies.dropFirst(toSkip))
    }

    private func replies(_ count: Int, unless isOver: () -> Bool) async throws(RedisFailure) -> [RedisValue] {
        var found: [RedisValue] = []
        while true {
            if transport.isWritable, !output.isEmpty || transport.hasUnsent, case .failed(let code) = transport.send(output) {
                throw RedisFailure(description: transport.text(of: code))
            }
            do throws(RedisValueReader.Malformed) {
                while found.count < count, let value = try RedisValueReader.next(in: input) { found.append(value) }
            } catch {
                throw RedisFailure(description: "it doesn't speak RESP")
            }
            guard found.count < count else { return found }
            if isOver() || waiter.isDue { throw RedisFailure(description: "no answer in time") }
            guard transport.isReadable else {
                await waiter.park()
                continue
            }
            switch transport.receive(into: input) {
            case .received, .wouldBlock: break
            case .ended: throw RedisFailure(description: "it closed the connection")
            case .failed(let code): throw RedisFailure(description: transport.text(of: code))
            }
        }
    }
}
