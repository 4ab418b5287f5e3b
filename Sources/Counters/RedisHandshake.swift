import Bytes
import EventLoop

/// Why there is no connection to Redis.
struct RedisFailure: Error, CustomStringConvertible {
    let description: String
}

extension RedisConnection {
    /// A key that no caller's can be (they end in a window's number), to try every command on that a hit may need.
    private static let trialKey = "ratelimit:"

    /// Connects, authenticates, selects the database, and makes sure that counting works.
    ///
    /// A replica, a Redis that is full or still loading, and a user who may not count are all found here, not by hits.
    static func open(
        _ backend: RedisBackend, at places: [SocketAddress], for counters: RedisCounters, epoch: Int, on waiter: Waiter,
        unless isOver: () -> Bool
    ) async throws(RedisFailure) -> RedisConnection {
        let timeout = backend.limits.handshakeMilliseconds
        let socket = try await connect(places, timeout, on: waiter, unless: isOver)
        socket.waiter = waiter
        let output = ByteBuffer(capacity: 16 * 1024)
        let commands = handshake(backend.address)
        for command in commands { output.appendCommand(command) }
        let replies = RedisReplies()
        waiter.setDeadline(afterMilliseconds: timeout)
        defer { waiter.clearDeadline() }
        do throws(RedisFailure) {
            try await exchange(socket, output, replies, count: commands.count, on: waiter, unless: isOver)
        } catch {
            socket.close()
            throw error
        }
        return RedisConnection(backend.limits, counters, socket, output, replies, waiter, epoch: epoch)
    }

    private static func handshake(_ address: RedisAddress) -> [[String]] {
        var commands: [[String]] = []
        if let user = address.user {
            commands.append(["AUTH", user, address.password ?? ""])
        } else if let password = address.password {
            commands.append(["AUTH", password])
        }
        if address.database != 0 { commands.append(["SELECT", String(address.database)]) }
        commands += [
            ["SET", trialKey, "0", "PX", "1000", "NX"], ["INCRBY", trialKey, "0"], ["GET", trialKey],
            ["PEXPIRE", trialKey, "1"],
        ]
        return commands
    }

    /// Sends what is in `output` and reads `count` replies, none of which may be an error.
    private static func exchange(
        _ socket: Socket, _ output: ByteBuffer, _ replies: RedisReplies, count: Int, on waiter: Waiter,
        unless isOver: () -> Bool
    ) async throws(RedisFailure) {
        let input = ByteBuffer(capacity: 4096)
        var awaited = count
        while awaited > 0 {
            if !output.isEmpty, socket.isWritable, case .failed(let code) = socket.send(output) {
                throw RedisFailure(description: SystemError.text(of: code))
            }
            while awaited > 0, case let next = replies.next(), next != .needsMoreBytes {
                if case .reply(.error(let text)) = next { throw RedisFailure(description: text) }
                if next == .malformed { throw RedisFailure(description: "it doesn't speak RESP") }
                awaited -= 1
            }
            guard awaited > 0 else { return }
            if isOver() || waiter.isDue { throw RedisFailure(description: "no answer to the handshake in time") }
            guard socket.isReadable else {
                await waiter.park()
                continue
            }
            switch socket.receive(into: input) {
            case .received:
                guard replies.feed(input.bytes) else { throw RedisFailure(description: "it doesn't speak RESP") }
                input.clear()
            case .wouldBlock: break
            case .ended: throw RedisFailure(description: "it closed the connection")
            case .failed(let code): throw RedisFailure(description: SystemError.text(of: code))
            }
        }
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
}
