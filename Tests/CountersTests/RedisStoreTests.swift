import EventLoop
import Foundation
import Logging
import Policy
import TestSupport
import Testing

@testable import Counters

private func counted(_ current: Int, _ previous: Int, isFallback: Bool = false, isLate: Bool = false, at time: Int64 = moment) -> CountResult {
    .counted(
        .windows(WindowCounts(current: current, previous: previous)),
        HitReceipt(.window(windowNumber), unixMilliseconds: time, isFallback: isFallback, isLate: isLate))
}

@Suite(.serialized) struct `A store on Redis` {
    private let scene = Scene()

    @Test func `counts each hit of a turn by itself, in one command`() async throws {
        let store = try await scene.store()
        let before = try scene.redis.calls(of: "incrby")
        #expect(await store.hits(3, at: moment) == [counted(1, 0), counted(2, 0), counted(3, 0)])
        #expect(await store.hits(1, at: moment) == [counted(4, 0)])
        #expect(try scene.redis.calls(of: "incrby") == before + 2)
        #expect(try scene.value() == "4")
        await store.stop()
    }

    @Test func `counts what hits cost, in one command a turn`() async throws {
        let store = try await scene.store()
        let before = try scene.redis.calls(of: "incrby")
        #expect(await store.hits(3, at: moment, costs: [5, 1, 2]) == [counted(5, 0), counted(6, 0), counted(8, 0)])
        #expect(try scene.redis.calls(of: "incrby") == before + 1)
        #expect(await store.admitted(100, of: "two", at: moment, costs: [3]) == 33)
        await store.turn()
        // One that costs more than there ever is is not asked for.
        let over = await store.hits(1, of: "two", at: moment, StoreHost.quota(count: 2), costs: [3])
        #expect(over == [.knownOver(untilUnixMilliseconds: moment + 60_000)])
        await store.stop()
        #expect(try scene.value() == "8")
        #expect(try scene.value("two") == "99")
    }

    @Test func `needs no window before for a fixed window`() async throws {
        let store = try await scene.store()
        let before = try scene.redis.calls(of: "get")
        #expect(await store.hits(2, at: windowNumber * 60_000, StoreHost.quota(.fixedWindow)).count == 2)
        #expect(await store.admitted(200, of: "two", at: moment, StoreHost.quota(.fixedWindow, count: 100)) == 100)
        #expect(try scene.redis.calls(of: "get") == before)
        await store.stop()
    }

    @Test func `doesn't ask again for a key that is known to be over`() async throws {
        let store = try await scene.store()
        func asked() throws -> Int { try scene.redis.calls(of: "incrby") }
        #expect(await store.admitted(100, at: moment) == 100)
        #expect(await store.admitted(1, at: moment, remembering: true) == 0)
        await store.turn()
        let before = try asked()
        // 100 are the next window's previous ones, so one has room 600 ms into it.
        let until = windowNumber * 60_000 + 60_600
        for time in [moment, moment + 1, until - 1] {
            #expect(await store.hits(1, at: time, StoreHost.quota(count: 100)) == [.knownOver(untilUnixMilliseconds: until)])
        }
        let looked = await store.hits(1, at: moment, StoreHost.quota(count: 100), costs: [0])
        #expect(looked == [.knownOver(untilUnixMilliseconds: until)])
        #expect(try asked() == before)
        #expect(await store.admitted(1, at: until, remembering: true) == 1)
        #expect(try asked() == before + 1)
        // Of other keys nothing is known, and looking costs no command.
        guard case .counted(let state, let receipt) = await store.hits(1, of: "two", at: moment, costs: [0])[0] else {
            Issue.record("known of a key that was never asked for")
            return
        }
        #expect(state == .windows(WindowCounts(current: 0, previous: 0)) && receipt.charge == .nothing)
        await store.stop()
        #expect(try asked() == before + 1)
    }

    @Test func `sends a dozen commands for a thousand decisions`() async throws {
        let store = try await scene.store()
        func asked() throws -> Int {
            try ["set", "incrby", "get", "pexpire", "evalsha"].reduce(0) { try $0 + scene.redis.calls(of: $1) }
        }
        _ = await store.hits(1, at: moment)
        let before = try asked()
        // Ten turns of a hundred hits of one key.
        for _ in 0..<10 { _ = await store.hits(100, at: moment) }
        #expect(try asked() == before + 10)
        // A thousand of one that is over: the first of which is asked for, and given back, with its expiry.
        #expect(await store.admitted(100, of: "two", at: moment) == 100)
        await store.turn()
        let full = try asked()
        for _ in 0..<1000 { #expect(await store.admitted(1, of: "two", at: moment, remembering: true) == 0) }
        await store.turn()
        #expect(try asked() == full + 3)
        await store.stop()
    }

    @Test func `asks again for a key that has room, since an admitted hit was given back`() async throws {
        let store = try await scene.store()
        #expect(await store.admitted(101, at: moment, remembering: true) == 100)
        #expect(await store.admitted(1, at: moment) == 0)
        await store.giveBack(1, number: windowNumber)
        #expect(await store.admitted(1, at: moment) == 1)
        // What is known of a dear hit says nothing of a cheap one.
        #expect(await store.admitted(1, of: "dear", at: moment, costs: [95]) == 1)
        #expect(await store.admitted(1, of: "dear", at: moment, costs: [6], remembering: true) == 0)
        let results = await store.hits(2, of: "dear", at: moment, costs: [7, 5])
        #expect(results.contains { if case .knownOver = $0 { true } else { false } })
        #expect(results.contains { $0.isFallback == false })
        await store.stop()
    }

    @Test func `asks for the window before until it has settled`() async throws {
        let store = try await scene.store()
        let start = windowNumber * 60_000
        try scene.redis.ask("SET", "ratelimit:one:\(windowNumber - 1)", "41", "PX", "60000")
        #expect(await store.hits(1, at: start) == [counted(1, 41, at: start)])
        try scene.redis.ask("SET", "ratelimit:one:\(windowNumber - 1)", "40", "PX", "60000")
        #expect(await store.hits(1, at: start + 2000) == [counted(2, 40, at: start + 2000)])
        let before = try scene.redis.calls(of: "get")
        #expect(await store.hits(1, at: start + 3000) == [counted(3, 40, at: start + 3000)])
        #expect(try scene.redis.calls(of: "get") == before)
        await store.stop()
    }

    @Test func `keeps a key to the end of the next window`() async throws {
        let store = try await scene.store()
        let now = Clock.unixMilliseconds()
        _ = await store.hits(1, at: now)
        let end = StoreHost.minute.end(of: now / 60_000 + 1)
        let expiry = try Int64(scene.redis.ask("EXPIRETIME", "ratelimit:one:\(now / 60_000)")) ?? 0
        // In seconds, and rounded; what the hit took to arrive comes on top.
        #expect((end...end + 2).contains(expiry))
        await store.stop()
    }

    @Test func `and another admit one hundred of two hundred hits`() async throws {
        let backend = scene.backend()
        let (first, second) = try await (scene.store(backend), scene.store(backend))
        for round in 0..<5 {
            let user = "user \(round)"
            async let admittedByFirst = withTaskGroup { group in
                for _ in 0..<20 { group.addTask { await first.admitted(5, of: user, at: moment) } }
                return await group.reduce(0, +)
            }
            async let admittedBySecond = withTaskGroup { group in
                for _ in 0..<100 { group.addTask { await second.admitted(1, of: user, at: moment) } }
                return await group.reduce(0, +)
            }
            #expect(await admittedByFirst + admittedBySecond == 100)
            await first.turn()
            await second.turn()
        }
        // What was refused doesn't count: stopping waits for what was given back.
        await first.stop()
        await second.stop()
        for round in 0..<5 { #expect(try scene.value("user \(round)") == "100") }
        #expect(scene.log.lines == [])
    }

    @Test func `authenticates and selects its database, over TCP too`() async throws {
        try scene.redis.ask(
            "ACL", "SETUSER", "bob", "on", ">se cret", "~ratelimit:*", "+set", "+get", "+incrby", "+pexpire", "+select",
            "+script|load", "+eval", "+time")
        try scene.redis.ask("CONFIG", "SET", "port", "0")
        var address = scene.redis.address
        (address.user, address.password, address.database) = ("bob", "se cret", 3)
        let store = try await scene.store(scene.backend(address: address))
        #expect(await store.hits(1, at: moment) == [counted(1, 0)])
        #expect(try scene.redis.ask("-n", "3", "GET", "ratelimit:one:\(windowNumber)") == "1")
        await store.stop()

        let port = try freePort()
        try scene.redis.ask("CONFIG", "SET", "port", "\(port)")
        try scene.redis.ask("CONFIG", "SET", "requirepass", "other")
        for host in ["127.0.0.1", "localhost"] {
            let url = "redis://:other@\(host):\(port)"
            let store = try await scene.store(scene.backend(address: RedisAddress(url: url)))
            guard await store.hits(1, at: moment)[0].isFallback == false else {
                Issue.record("not counted over \(url)")
                return
            }
            await store.stop()
        }
        #expect(scene.log.lines == [])
    }

    // MARK: Keys

    @Test func `makes no key that stays for good, whatever is given back and lost`() async throws {
        let backend = scene.backend()
        let stores = try await [scene.store(backend), scene.store(backend)]
        var random = SystemRandomNumberGenerator()
        for step in 0..<400 {
            let store = stores.randomElement(using: &random)!
            let user = "user \(Int.random(in: 0..<4, using: &random))"
            let back = Int64.random(in: 0...1, using: &random)
            switch step % 8 {
            case 0...3: _ = await store.hits(Int.random(in: 1...3, using: &random), of: user, at: moment - back * 60_000)
            case 4, 5: await store.giveBack(Int.random(in: 1...3, using: &random), of: user, number: windowNumber - back)
            case 6: try scene.redis.ask("DEL", "ratelimit:\(user):\(windowNumber - back)")
            default: if step % 64 == 63 { try scene.redis.ask("FLUSHALL") }
            }
            if step % 50 == 49 {
                for store in stores { await store.turn() }
                let keys = try scene.redis.keys()
                #expect(keys.all == keys.expiring)
            }
        }
        for store in stores { await store.stop() }
        let keys = try scene.redis.keys()
        #expect(keys.all > 0 && keys.all == keys.expiring)
    }

    @Test func `leaves no debt behind where a hit is given back on an expired key`() async throws {
        let store = try await scene.store()
        _ = await store.hits(3, at: moment)
        try scene.redis.ask("DEL", "ratelimit:one:\(windowNumber)")
        let renewals = try scene.redis.calls(of: "pexpire")
        await store.giveBack(2, number: windowNumber)
        await store.turn()
        // The key it made was never without its expiry, and needed none afterwards.
        _ = await store.hits(1, of: "two", at: moment)
        #expect(try scene.redis.calls(of: "pexpire") == renewals)
        #expect(await store.hits(1, at: moment) == [counted(1, 0)])
        // Given back and hit in one turn, too.
        try scene.redis.ask("DEL", "ratelimit:one:\(windowNumber)")
        #expect(await store.hits(1, at: moment, givenBack: 1) == [counted(1, 0)])
        await store.stop()
        #expect(try scene.value() == "1")
        let keys = try scene.redis.keys()
        #expect(keys.all == keys.expiring)
    }

    @Test func `gives nothing back to a window that no longer matters`() async throws {
        let store = try await scene.store()
        _ = await store.hits(1, at: moment)
        await store.giveBack(1, number: windowNumber - 2)
        await store.stop()
        #expect(try scene.redis.ask("KEYS", "ratelimit:?*") == "ratelimit:one:\(windowNumber)")
    }

    @Test func `keeps counting where somebody put one key to another use`() async throws {
        let store = try await scene.store()
        try scene.redis.ask("RPUSH", "ratelimit:odd:\(windowNumber)", "x")
        #expect(await store.hits(1, of: "odd", at: moment) == [counted(1, 0, isFallback: true)])
        #expect(await store.hits(1, at: moment) == [counted(1, 0)])
        #expect(scene.log.lines == [])
        await store.stop()
    }

    // MARK: Redis lost

    @Test func `counts in memory from where Redis was, and goes back to Redis`() async throws {
        let backend = scene.backend()
        let (first, second) = try await (scene.store(backend), scene.store(backend))
        #expect(await first.admitted(60, at: moment) == 60)
        #expect(await second.admitted(1, at: moment) == 1)
        scene.redis.kill()
        // First one store, then both of them at once.
        #expect(await first.admitted(10, at: moment) == 10)
        async let more = (first.admitted(100, at: moment), second.admitted(100, at: moment))
        let (one, two) = await more
        #expect(one + two == 29 || one + two == 30, "61 were known to one of the two")
        #expect(await first.admitted(100, at: moment) == 0)

        try scene.redis.start()
        await first.waitUntilRedisCounts()
        await second.waitUntilRedisCounts()
        #expect(await first.hits(1, at: moment) == [counted(1, 0)])
        await first.stop()
        await second.stop()
        #expect(scene.log.lines.count == 2)
        #expect(scene.log.lines.first?.hasPrefix("warning: Redis at unix:\(scene.redis.path) is lost (") == true)
        #expect(scene.log.lines.last == "notice: Redis at unix:\(scene.redis.path) answers again: counting there")
    }

    @Test func `admits one more limit at the most, however often Redis is lost in a window`() async throws {
        let store = try await scene.store(deadline: 100)
        var admitted = 0
        for _ in 0..<4 {
            admitted += await store.admitted(150, at: moment)
            try scene.redis.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            scene.redis.pause()
            admitted += await store.admitted(150, at: moment)
            scene.redis.resume()
            await store.waitUntilRedisCounts()
        }
        #expect(admitted >= 100 && admitted <= 200)
        await store.stop()
    }

    @Test(arguments: [FailureMode.deny, .allow]) func `denies or allows all where it is told to`(_ mode: FailureMode) async throws {
        let store = try await scene.store(onFailure: mode)
        scene.redis.kill()
        #expect(await store.hits(2, at: moment) == [.unavailable(mode), .unavailable(mode)])
        #expect(await store.hits(1, at: moment) == [.unavailable(mode)])
        try scene.redis.start()
        await store.waitUntilRedisCounts()
        await store.stop()
        #expect(scene.log.lines.count == 2)
    }

    @Test func `waits for a Redis that isn't there yet`() async throws {
        scene.redis.kill()
        let store = try await scene.store()
        #expect(await store.hits(1, at: moment) == [counted(1, 0, isFallback: true)])
        try scene.redis.start()
        await store.waitUntilRedisCounts()
        await store.stop()
        #expect(scene.log.lines.count == 2)
    }

    @Test func `does without a Redis whose name can't be looked up`() async throws {
        var limits = RedisBackend.Limits()
        limits.handshakeMilliseconds = 50
        let address = RedisAddress(place: .tcp(host: "redis.invalid", port: 6379))
        let store = try await scene.store(try RedisBackend(address, limits, onFailure: .local, fallback: scene.memory))
        #expect(await store.hits(1, at: moment) == [counted(1, 0, isFallback: true)])
        await store.stop()
        #expect(scene.log.lines.count == 1)
    }

    @Test(arguments: [
        (["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"], "READONLY"),
        (["CONFIG", "SET", "maxmemory", "1"], ["CONFIG", "SET", "maxmemory", "0"], "OOM"),
        (["ACL", "SETUSER", "default", "-incrby"], ["ACL", "SETUSER", "default", "+@all"], "NOPERM"),
        (["CONFIG", "SET", "min-replicas-to-write", "1"], ["CONFIG", "SET", "min-replicas-to-write", "0"], "NOREPLICAS"),
    ])
    func `takes a Redis that may not be written to for a lost one`(
        _ spoil: [String], _ mend: [String], _ error: String
    ) async throws {
        let store = try await scene.store()
        #expect(await store.hits(1, at: moment) == [counted(1, 0)])
        try scene.redis.ask(spoil)
        #expect(await store.hits(1, at: moment) == [counted(2, 0, isFallback: true)])
        #expect(await store.hits(1, at: moment) == [counted(3, 0, isFallback: true)])
        try scene.redis.ask(mend)
        await store.waitUntilRedisCounts()
        await store.stop()
        #expect(scene.log.lines.count == 2)
        #expect(scene.log.lines.first?.contains("(\(error) ") == true)
    }

    // MARK: Redis late

    @Test func `waits for its deadline a few times, then no more until Redis is fast again`() async throws {
        let store = try await scene.store(deadline: 50)
        await store.waitUntilRedisCounts()
        scene.redis.pause()
        for count in 1...3 {
            let (results, took) = await timed { await store.hits(1, at: moment) }
            #expect(results == [counted(count, 0, isFallback: true, isLate: true)])
            #expect(took >= 49)
        }
        let results = await store.hits(200, at: moment)
        #expect(results.count == 200 && results.allSatisfy { $0.isFallback == true && $0.isLate == false })
        scene.redis.resume()
        await store.waitUntilRedisCounts()
        // The three that were late are counted in Redis too: they passed.
        #expect(await store.hits(1, at: moment) == [counted(4, 0)])
        await store.stop()
        #expect(scene.log.lines.count >= 2)
    }

    @Test func `gives back late counts of hits that were refused meanwhile`() async throws {
        let denying = try await scene.store(onFailure: .deny, deadline: 50)
        let counting = try await scene.store(onFailure: .local, deadline: 50)
        await denying.waitUntilRedisCounts()
        await counting.waitUntilRedisCounts()
        scene.redis.pause()
        #expect(await denying.hits(5, of: "denied", at: moment) == Array(repeating: .unavailable(.deny), count: 5))
        #expect(await counting.admitted(5, of: "limited", at: moment, StoreHost.quota(count: 2)) == 2)
        scene.redis.resume()
        await denying.waitUntilRedisCounts()
        await counting.waitUntilRedisCounts()
        await denying.stop()
        await counting.stop()
        #expect(try scene.value("denied") == "0")
        #expect(try scene.value("limited") == "2")
    }

    @Test func `leaves a Redis that says nothing at all, and stops in time`() async throws {
        var limits = RedisBackend.Limits()
        limits.silenceMilliseconds = 200
        limits.handshakeMilliseconds = 100
        let backend = try RedisBackend(scene.redis.address, limits, onFailure: .local, fallback: scene.memory)
        let store = try await scene.store(backend)
        await store.waitUntilRedisCounts()
        scene.redis.pause()
        let (_, took) = await timed {
            _ = await store.hits(1, at: moment)
            await store.stop()
        }
        #expect(took < 5000)
    }
}

private func timed<Result>(_ body: () async -> Result) async -> (Result, milliseconds: Int64) {
    let start = Clock.monotonicNanoseconds()
    let result = await body()
    return (result, (Clock.monotonicNanoseconds() - start) / 1_000_000)
}
