import EventLoop
import Synchronization

/// Looks up where a Redis is: before each connection, since a failover may have moved its name.
final class HostLookup {
    private static let pollMilliseconds: Int64 = 10
    /// How many names may wait for a name server.
    private static let maximumPending = 8

    /// Those that a name server has not answered yet. There is never a second one of one place.
    private var pending: [RedisAddress.Place: (answer: Answer, thread: SystemThread)] = [:]

    /// - Parameter timeoutMilliseconds: how long to wait. A lookup that takes longer goes on, and the next call waits for it.
    func addresses(
        of place: RedisAddress.Place, on waiter: Waiter, timeoutMilliseconds: Int64, unless isOver: () -> Bool
    ) async throws(RedisFailure) -> [SocketAddress] {
        do {
            switch place {
            case .unix(let path): return [try SocketAddress.unix(path: path)]
            case .tcp(let host, let port) where Self.isKnownHere(host):
                return try SocketAddress.resolve(host: host, port: port)
            case .tcp(let host, let port):
                let deadline = waiter.loop.nowMilliseconds + timeoutMilliseconds
                return try await onThread(place, host, port, waiter, deadline, isOver)
            }
        } catch {
            throw RedisFailure(description: "\(error)")
        }
    }

    /// Whether the answer comes without asking another machine.
    private static func isKnownHere(_ host: String) -> Bool {
        host == "localhost" || host.contains(":")
            || host.utf8.allSatisfy { $0 == UInt8(ascii: ".") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }

    /// A name server may take seconds to answer, and the loop must not wait for it.
    private func onThread(
        _ place: RedisAddress.Place, _ host: String, _ port: Int, _ waiter: Waiter, _ deadline: Int64, _ isOver: () -> Bool
    ) async throws -> [SocketAddress] {
        let lookup = try pending[place] ?? begin(host, port)
        pending[place] = lookup
        while true {
            if let result = lookup.answer.result.withLock({ $0 }) {
                // Whoever of those that wait sees it first.
                if pending[place]?.answer === lookup.answer {
                    pending[place] = nil
                    lookup.thread.join()
                }
                return try result.get()
            }
            guard !isOver(), waiter.loop.nowMilliseconds < deadline else {
                throw RedisFailure(description: "the lookup of \(host) takes too long")
            }
            await waiter.sleep(milliseconds: Self.pollMilliseconds, unless: isOver)
        }
    }

    private func begin(_ host: String, _ port: Int) throws -> (answer: Answer, thread: SystemThread) {
        guard pending.count < Self.maximumPending else {
            throw RedisFailure(description: "\(pending.count) lookups wait already")
        }
        let answer = Answer()
        let thread = try SystemThread(name: "redis-lookup") {
            let result = Result { () throws(ResolutionError) in try SocketAddress.resolve(host: host, port: port) }
            answer.result.withLock { $0 = result }
        }
        return (answer, thread)
    }

    private final class Answer: Sendable {
        let result = Mutex<Result<[SocketAddress], ResolutionError>?>(nil)
    }
}
