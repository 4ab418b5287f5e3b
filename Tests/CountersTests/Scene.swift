import EventLoop
import Foundation
import Logging

@testable import Counters

/// A moment in minute 28,866,880 (in 2024), far enough in for the minute before to have settled.
let moment: Int64 = 28_866_880 * 60_000 + 30_000
let windowNumber: Int64 = 28_866_880

/// Redis, and stores that count in it.
struct Scene {
    let redis = try! RedisServer()
    let log = LoggedLines()
    let memory = MemoryCounters(capacity: 10_000)

    /// - Parameter deadline: long, where a busy machine shall not turn a count into a late one.
    func backend(
        onFailure: FailureMode = .local, deadline: Int64 = 5000, address: RedisAddress? = nil, clockMilliseconds: Int64 = 30_000,
        unixClock: @escaping @Sendable () -> Int64 = Clock.unixMilliseconds
    ) -> RedisBackend {
        var limits = RedisBackend.Limits()
        limits.deadlineMilliseconds = deadline
        limits.handshakeMilliseconds = 5000
        limits.silenceMilliseconds = 60_000
        limits.clockMilliseconds = clockMilliseconds
        return try! RedisBackend(
            address ?? redis.address, limits, onFailure: onFailure, fallback: memory, unixClock: unixClock)
    }

    func store(_ backend: RedisBackend) async throws -> StoreHost {
        let log = log
        let host = try StoreHost(.redis(backend), logger: Logger(label: "test") { _ in log })
        await host.start()
        return host
    }

    func store(onFailure: FailureMode = .local, deadline: Int64 = 5000) async throws -> StoreHost {
        try await store(backend(onFailure: onFailure, deadline: deadline))
    }

    func value(_ user: String = "one", _ number: Int64 = windowNumber) throws -> String {
        try redis.ask("GET", "ratelimit:\(user):\(number)")
    }
}
