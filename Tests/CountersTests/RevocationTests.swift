import EventLoop
import Logging
import Policy
import Testing

@testable import Counters

@Suite(.serialized) struct `A revocation` {
    private let scene = Scene()

    @Test func `is asked for once a turn, whoever asks`() async throws {
        let store = try await scene.store()
        try scene.redis.ask("SET", "revoked:sub:a", "1700000000")
        try scene.redis.ask("SET", "revoked:jti:b", "garbage")
        let before = try scene.redis.calls(of: "get")
        #expect(await store.revocations(["revoked:sub:a", "revoked:jti:a", "revoked:sub:a", "revoked:jti:b"]) == [
            .revoked(unixSeconds: 1_700_000_000), .notRevoked, .revoked(unixSeconds: 1_700_000_000),
            .revoked(unixSeconds: .max),
        ])
        #expect(try scene.redis.calls(of: "get") == before + 3)
        // What was not revoked a moment ago may be now.
        try scene.redis.ask("SET", "revoked:jti:a", "0")
        #expect(await store.revocations(["revoked:jti:a"]) == [.revoked(unixSeconds: 0)])
        await store.stop()
    }

    @Test(arguments: FailureMode.allCases) func `can't be known without Redis`(_ mode: FailureMode) async throws {
        let store = try await scene.store(onFailure: mode)
        try scene.redis.ask("RPUSH", "revoked:sub:list", "x")
        #expect(await store.revocations(["revoked:sub:list", "revoked:sub:a"]) == [.unavailable, .notRevoked])
        scene.redis.kill()
        #expect(await store.revocations(["revoked:sub:a"]) == [.unavailable])
        #expect(await store.revocations(["revoked:sub:a"]) == [.unavailable])
        await store.stop()
    }

    @Test func `is answered by its deadline`() async throws {
        let store = try await scene.store(onFailure: .deny, deadline: 50)
        await store.waitUntilRedisCounts()
        scene.redis.pause()
        #expect(await store.revocations(["revoked:sub:a", "revoked:sub:b"]) == [.unavailable, .unavailable])
        scene.redis.resume()
        await store.waitUntilRedisCounts()
        #expect(await store.revocations(["revoked:sub:a"]) == [.notRevoked])
        await store.stop()
    }

    @Test func `can't be had in memory`() async throws {
        let log = scene.log
        let store = try StoreHost(.memory(scene.memory), logger: Logger(label: "test") { _ in log })
        #expect(await store.revocations(["revoked:sub:a"]) == [.unavailable])
        await store.stop()
    }
}
