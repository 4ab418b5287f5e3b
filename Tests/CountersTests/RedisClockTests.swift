import EventLoop
import Policy
import Testing

@testable import Counters

@Suite(.serialized) struct `A store's clock` {
    private let scene = Scene()

    @Test func `is that of Redis, however wrong its machine's is`() async throws {
        let skew: Int64 = 3_600_000
        let slow = try await scene.store(scene.backend(unixClock: { Clock.unixMilliseconds() - skew }))
        let fast = try await scene.store(scene.backend(unixClock: { Clock.unixMilliseconds() + skew }))
        #expect(abs(await slow.clockOffset() - skew) < 1000)
        #expect(abs(await fast.clockOffset() + skew) < 1000)
        // A long window, so that its end doesn't come in between.
        for algorithm in LimitAlgorithm.allCases {
            let quota = try Quota(algorithm, count: 10, windowSeconds: 2_678_400)
            let user = algorithm.rawValue
            let now = Clock.unixMilliseconds()
            // Each asks a second after the one before: an offset measured on a busy machine is milliseconds off, and a bucket
            // that is looked at before it was last filled holds no whole token more.
            #expect(await slow.admitted(6, of: user, at: now - skew, quota) == 6)
            #expect(await fast.admitted(6, of: user, at: now + skew + 1000, quota) == 4)
            // The moment of a receipt is Redis' as well; what is known to be over is told in the caller's time.
            guard case .counted(_, let receipt) = await slow.hits(1, of: user, at: now - skew + 2000, quota)[0] else { return }
            #expect(abs(receipt.unixMilliseconds - now - 2000) < 1000)
            #expect(await slow.admitted(1, of: user, at: now - skew + 3000, quota, remembering: true) == 0)
            guard case .knownOver(let until) = await slow.hits(1, of: user, at: now - skew + 4000, quota)[0] else {
                Issue.record("not known to be over: \(algorithm)")
                return
            }
            #expect(until > now - skew && until <= now - skew + 4000 + 2 * 2_678_400_000)
        }
        await slow.stop()
        await fast.stop()
    }

    @Test func `is measured again now and then`() async throws {
        let store = try await scene.store(scene.backend(clockMilliseconds: 5))
        let before = try scene.redis.calls(of: "time")
        while try scene.redis.calls(of: "time") < before + 3 {}
        #expect(abs(await store.clockOffset()) < 1000)
        await store.stop()
        #expect(scene.log.lines == [])
    }
}
