import EventLoop
import Policy
import Testing

@testable import Counters

private let scripted: [LimitAlgorithm] = [.slidingLog, .tokenBucket]

@Suite(.serialized) struct `Buckets and logs on Redis` {
    private let scene = Scene()

    @Test func `run scripts by the names that Redis has for them`() throws {
        for script in RedisScript.all { #expect(try scene.redis.ask("SCRIPT", "LOAD", script.source) == script.sha1) }
    }

    @Test(arguments: scripted) func `are judged as in memory`(_ algorithm: LimitAlgorithm) async throws {
        let store = try await scene.store()
        let memory = MemoryCounters(capacity: 1000)
        var random = SystemRandomNumberGenerator()
        for round in 0..<25 {
            let count = Int.random(in: 1...20, using: &random)
            let burst = algorithm == .tokenBucket ? Int.random(in: 1...30, using: &random) : nil
            // Long ones: Redis lets go of keys by its own clock, which goes on as long as this takes.
            let quota = try Quota(algorithm, count: count, windowSeconds: Int.random(in: 100...300, using: &random), burst: burst)
            let key = Array("ratelimit:user \(round):".utf8)
            var now = moment
            for _ in 0..<25 {
                let cost = Int.random(in: 1...min(quota.burst, 3), using: &random)
                let hits = Int.random(in: 1...4, using: &random)
                let results = await store.hits(hits, of: "user \(round)", at: now, quota, costs: [cost])
                for result in results {
                    let expected = memory.hit(key.span, quota, cost: cost, nowUnixMilliseconds: now)
                    guard case .counted(let state, let receipt) = result, state.isSame(as: expected.state, quota, cost, now),
                        (receipt.charge == .nothing) == (expected.charge == .nothing), !receipt.isFallback
                    else {
                        Issue.record("\(quota), cost \(cost): \(result) rather than \(expected)")
                        return
                    }
                }
                now += Int64.random(in: 0...(Bool.random(using: &random) ? 500 : 90_000), using: &random)
            }
        }
        await store.stop()
        #expect(scene.log.lines == [])
        let keys = try scene.redis.keys()
        #expect(keys.all == keys.expiring)
    }

    @Test(arguments: scripted) func `take the same hits of a turn in one command`(_ algorithm: LimitAlgorithm) async throws {
        let store = try await scene.store()
        let before = try scene.redis.calls(of: "evalsha")
        #expect(await store.admitted(150, at: moment, StoreHost.quota(algorithm, count: 100)) == 100)
        #expect(try scene.redis.calls(of: "evalsha") == before + 1)
        #expect(await store.admitted(4, of: "two", at: moment, StoreHost.quota(algorithm, count: 100), costs: [3, 3, 5, 5]) == 4)
        #expect(try scene.redis.calls(of: "evalsha") == before + 3)
        // What was refused was never charged, and so is not given back.
        await store.stop()
        #expect(try scene.redis.calls(of: "evalsha") == before + 3)
    }

    @Test(arguments: scripted) func `of several stores admit one hundred of two hundred hits`(_ algorithm: LimitAlgorithm) async throws {
        let backend = scene.backend()
        let (first, second) = try await (scene.store(backend), scene.store(backend))
        let quota = StoreHost.quota(algorithm, count: 100)
        let admitted = await withTaskGroup { group in
            for _ in 0..<50 {
                group.addTask { await first.admitted(2, at: moment, quota) }
                group.addTask { await second.admitted(2, at: moment, quota) }
            }
            return await group.reduce(0, +)
        }
        #expect(admitted == 100)
        await first.stop()
        await second.stop()
    }

    @Test(arguments: scripted) func `get back what was given back, and leave no key for good`(_ algorithm: LimitAlgorithm) async throws {
        let store = try await scene.store()
        let quota = StoreHost.quota(algorithm, count: 10)
        let results = await store.hits(5, at: moment, quota, costs: [2])
        #expect(await store.admitted(1, at: moment, quota) == 0)
        for result in results.prefix(2) { await store.giveBack(result, quota, cost: 2) }
        #expect(await store.admitted(10, at: moment, quota) == 4)
        #expect(try scene.redis.ask("TTL", "ratelimit:one:\(algorithm == .tokenBucket ? "b" : "l")").hasPrefix("-") == false)
        for result in results.dropFirst(2) { await store.giveBack(result, quota, cost: 2) }
        await store.turn()
        #expect(await store.admitted(10, at: moment, quota) == 6)
        let only = await store.hits(1, of: "two", at: moment, quota)[0]
        await store.giveBack(only, of: "two", quota)
        await store.stop()
        // Nothing is left of the second one.
        #expect(try scene.redis.ask("KEYS", "ratelimit:two*") == "")
    }

    @Test(arguments: scripted) func `lose no hit, and count none twice, where Redis forgets its scripts`(_ algorithm: LimitAlgorithm) async throws {
        let store = try await scene.store()
        let quota = StoreHost.quota(algorithm, count: 100)
        for round in 1...3 {
            try scene.redis.ask("SCRIPT", "FLUSH")
            let results = await store.hits(10, at: moment, quota)
            #expect(results.allSatisfy { $0.isFallback == false })
            guard case .counted(let state, let receipt) = results[9] else { return }
            #expect(quota.judge(state, cost: 1, nowUnixMilliseconds: receipt.unixMilliseconds).remaining == 100 - round * 10)
            if round == 3 {
                try scene.redis.ask("SCRIPT", "FLUSH")
                for result in results { await store.giveBack(result, quota) }
                await store.turn()
                #expect(await store.admitted(100, at: moment, quota) == 80)
            }
        }
        await store.stop()
        #expect(scene.log.lines == [])
    }

    @Test(arguments: scripted) func `go on in memory from where Redis was`(_ algorithm: LimitAlgorithm) async throws {
        let store = try await scene.store()
        let quota = StoreHost.quota(algorithm, count: 100)
        #expect(await store.admitted(60, at: moment, quota) == 60)
        scene.redis.kill()
        #expect(await store.admitted(100, at: moment + 1, quota) == 40)
        try scene.redis.start()
        await store.waitUntilRedisCounts()
        #expect(await store.admitted(1, at: moment + 1, quota) == 1)
        await store.stop()
    }

    @Test(arguments: scripted) func `give back late hits that were refused meanwhile`(_ algorithm: LimitAlgorithm) async throws {
        let denying = try await scene.store(onFailure: .deny, deadline: 50)
        let counting = try await scene.store(onFailure: .local, deadline: 50)
        await denying.waitUntilRedisCounts()
        await counting.waitUntilRedisCounts()
        let (small, large) = (StoreHost.quota(algorithm, count: 2), StoreHost.quota(algorithm, count: 100))
        scene.redis.pause()
        #expect(await denying.hits(5, of: "denied", at: moment, large) == Array(repeating: .unavailable(.deny), count: 5))
        #expect(await counting.admitted(5, of: "limited", at: moment, small, costs: [1]) == 2)
        scene.redis.resume()
        await denying.waitUntilRedisCounts()
        await counting.waitUntilRedisCounts()
        await denying.turn()
        await denying.stop()
        await counting.stop()
        let store = try await scene.store()
        #expect(await store.admitted(200, of: "denied", at: moment, large) == 100)
        #expect(await store.admitted(5, of: "limited", at: moment, small) == 0)
        await store.stop()
    }

    @Test(arguments: scripted) func `keep counting where somebody put one key to another use`(_ algorithm: LimitAlgorithm) async throws {
        let store = try await scene.store()
        let quota = StoreHost.quota(algorithm, count: 100)
        let key = "ratelimit:one:\(algorithm == .tokenBucket ? "b" : "l")"
        try scene.redis.ask("RPUSH", key, "x")
        #expect(await store.hits(1, at: moment, quota)[0].isFallback == true)
        #expect(await store.hits(1, of: "two", at: moment, quota)[0].isFallback == false)
        try scene.redis.ask("DEL", key)
        for planted in ["", "x", "99999999999999999999999 9", "1 99999999999999999999"] where algorithm == .tokenBucket {
            try scene.redis.ask("SET", key, planted)
            #expect(await store.hits(1, at: moment, quota)[0].isFallback == false)
        }
        #expect(scene.log.lines == [])
        await store.stop()
    }

    @Test func `start anew where the clock was set back far`() async throws {
        let store = try await scene.store()
        let quota = StoreHost.quota(.tokenBucket, count: 100)
        #expect(await store.admitted(100, at: moment + 3_600_000, quota) == 100)
        // A bucket is never emptier than empty.
        #expect(await store.admitted(1, at: moment, quota) == 0)
        #expect(await store.admitted(1, at: moment + 600, quota) == 1)
        await store.stop()
    }
}

extension LimitState {
    /// Whether a hit is judged the same by both, and is told the same.
    fileprivate func isSame(as other: LimitState, _ quota: Quota, _ cost: Int, _ now: Int64) -> Bool {
        quota.judge(self, cost: cost, nowUnixMilliseconds: now) == quota.judge(other, cost: cost, nowUnixMilliseconds: now)
    }
}
