import EventLoop
import Foundation
import Logging
import Policy
import TestSupport
import Testing

@testable import Counters

private let number = windowNumber
private let receipt = HitReceipt(.window(number), unixMilliseconds: moment)

private func quota(_ limit: Int) -> Quota { StoreHost.quota(count: limit) }

/// One daemon's store.
private struct Daemon {
    let store: StoreHost
    let log = LoggedLines()

    /// - Parameter deadline: long, where a busy machine shall not turn a count into a late one.
    init(_ address: RedisAddress, deadline: Int64 = 5000, onFailure: FailureMode = .local) async throws {
        var limits = RedisBackend.Limits()
        limits.deadlineMilliseconds = deadline
        limits.handshakeMilliseconds = 5000
        limits.silenceMilliseconds = 60_000
        limits.reconnectMilliseconds = 20...200
        limits.relearnMilliseconds = 50...2000
        let backend = try RedisBackend(address, limits, onFailure: onFailure, fallback: MemoryCounters(capacity: 10_000))
        let log = log
        store = try StoreHost(.redis(backend), logger: Logger(label: "test") { _ in log })
        await store.start()
    }

    /// Whether hits of a user are counted in Redis.
    func countsInRedis(_ user: String) async -> Bool { await store.hits(1, of: user, at: moment)[0].isFallback == false }
}

/// Makes hits until it is cancelled. Returns how many of them a limit has admitted.
private func load(_ store: StoreHost, of user: String, limit: Int) -> Task<Int, Never> {
    Task.detached {
        var admitted = 0
        // Once at least, however soon it is stopped.
        repeat { admitted += await store.admitted(3, of: user, at: moment, quota(limit)) } while !Task.isCancelled
        return admitted
    }
}

extension Task where Failure == Never {
    fileprivate func stop() async -> Success {
        cancel()
        return await value
    }
}

@Suite(.serialized) struct `A store on a Redis` {
    @Test func `with TLS, a client's certificate and an ACL user counts there`() async throws {
        let authority = try TestAuthority()
        let server = try authority.issue("server", for: "DNS:redis.example,IP:127.0.0.1")
        let client = try authority.issue("client", for: "DNS:gatehouse")
        let port = try freePort()
        let redis = try RedisServer([
            "--tls-port", "\(port)", "--tls-cert-file", server.certificate, "--tls-key-file", server.key,
            "--tls-ca-cert-file", authority.file, "--tls-auth-clients", "yes",
        ])
        try redis.ask(
            "ACL", "SETUSER", "gate", "on", ">se/cret", "~ratelimit:*", "+set", "+get", "+incrby", "+pexpire", "+select",
            "+script|load", "+eval", "+evalsha", "+time")
        var address = try #require(RedisAddress(url: "rediss://gate:se%2Fcret@127.0.0.1:\(port)/2"))
        address.tls = RedisTLS(authoritiesFile: authority.file, certificateFile: client.certificate, keyFile: client.key)
        for name in [nil, "redis.example"] {
            address.tls?.serverName = name
            let daemon = try await Daemon(address)
            #expect(await daemon.store.admitted(150, of: name ?? "one", at: moment) == 100)
            await daemon.store.stop()
            #expect(try redis.ask("-n", "2", "GET", "ratelimit:\(name ?? "one"):\(number)") == "100")
            #expect(daemon.log.lines == [])
        }
        // What the server is not, and what is not shown to it.
        for (tls, reason) in [
            (RedisTLS(authoritiesFile: authority.file, serverName: "other.example"), "the server's certificate is refused: hostname mismatch"),
            (RedisTLS(), "the server's certificate is refused: "),
            (RedisTLS(authoritiesFile: authority.file), ""),
        ] {
            address.tls = tls
            let daemon = try await Daemon(address)
            #expect(await daemon.store.hits(1, at: moment)[0].isFallback == true)
            #expect(daemon.log.lines.first?.contains("is lost (\(reason)") == true, "\(daemon.log.lines)")
            await daemon.store.stop()
        }
    }

    @Test func `whose master sentinels know follows it to another server`() async throws {
        let watched = try WatchedRedis()
        let daemon = try await Daemon(watched.address)
        let limit = 3000
        let load = load(daemon.store, of: "busy", limit: limit)
        _ = await daemon.store.hits(40, of: "calm", at: moment)
        try watched.replica.wait(["GET", "ratelimit:calm:\(number)"]) { $0 == "40" }
        watched.master.kill()
        try watched.replica.wait(["ROLE"]) { $0.hasPrefix("master") }
        await daemon.store.waitUntilRedisCounts(at: moment)
        // What had arrived at the replica is the count that goes on.
        let calm = await daemon.store.hits(1, of: "calm", at: moment)[0]
        #expect(calm == .counted(.windows(WindowCounts(current: 41, previous: 0)), receipt))
        #expect(await daemon.store.admitted(2 * limit, of: "busy", at: moment, quota(limit)) <= limit)
        let admitted = await load.stop()
        // The limit once in Redis, once more in the memory of this one daemon, and what the replica had not been sent.
        #expect(admitted <= 2 * limit + limit / 10)
        #expect(daemon.log.lines.count == 2, "\(daemon.log.lines)")

        // The old master comes back, takes itself for the master still, and nobody minds.
        try watched.master.start()
        #expect(await daemon.countsInRedis("calm"))
        let reply = try await run(["GET", "ratelimit:calm:\(number)"], at: watched.address)
        #expect(reply == .text(Array("42".utf8)))
        await daemon.store.stop()
    }

    @Test func `in a cluster counts at the node of each key, whatever happens to the others`() async throws {
        let cluster = try ClusteredRedis()
        let daemon = try await Daemon(cluster.address)
        for user in ["{odd}", "é", "%}"] {
            #expect(try cluster.masters[0].ask("CLUSTER", "KEYSLOT", "{\(user)") == "\(RedisSlot.of(Array("{\(user)".utf8)))")
        }
        for index in 0..<3 {
            let user = ClusteredRedis.users(of: index, 1)[0]
            #expect(await daemon.store.admitted(150, of: user, at: moment) == 100)
            await daemon.store.turn()
            try cluster.masters[index].wait(["GET", ClusteredRedis.key(of: user, number)]) { $0 == "100" }
            let reply = try await run(["GET", ClusteredRedis.key(of: user, number)], at: cluster.address)
            #expect(reply == .text(Array("100".utf8)))
            for algorithm in [LimitAlgorithm.slidingLog, .tokenBucket] {
                #expect(await daemon.store.admitted(150, of: user, at: moment, StoreHost.quota(algorithm, count: 100)) == 100)
            }
            let revoked = ClusteredRedis.key(of: user, 0)
            #expect(try await run(["SET", revoked, "7"], at: cluster.address) == .text(Array("OK".utf8)))
            #expect(await daemon.store.revocations([revoked]) == [.revoked(unixSeconds: 7)])
        }
        #expect(daemon.log.lines == [])
        try await moveSlot(cluster, daemon)
        try await moveSlotToNewcomer(cluster, daemon)
        try await loseMaster(cluster, daemon)
        await daemon.store.stop()
    }

    /// A slot is moved from the second master to the first, while hits of its keys are made.
    private func moveSlot(_ cluster: ClusteredRedis, _ daemon: Daemon) async throws {
        let user = ClusteredRedis.users(of: 1, 2)[1]
        let slot = "\(ClusteredRedis.slot(of: user))"
        let (from, to) = (cluster.masters[1], cluster.masters[0])
        let (fromID, toID) = try (from.ask("CLUSTER", "MYID"), to.ask("CLUSTER", "MYID"))
        func hit() async -> CountResult { await daemon.store.hits(1, of: user, at: moment)[0] }
        func counted(_ count: Int) -> CountResult {
            .counted(.windows(WindowCounts(current: count, previous: 0)), receipt)
        }
        #expect(await hit() == counted(1))
        let load = load(daemon.store, of: user, limit: 2)
        try to.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", fromID)
        try from.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", toID)
        // The key is still here, and so is its count.
        #expect(await load.stop() == 1)
        await daemon.store.turn()
        #expect(await hit() == counted(3))
        // The key is there, and so is the slot of those that are made anew.
        try from.ask("MIGRATE", "127.0.0.1", "\(to.port)", ClusteredRedis.key(of: user, number), "0", "5000")
        let asked = try to.calls(of: "asking")
        #expect(await hit() == counted(4))
        #expect(
            await daemon.store.hits(2, of: user, at: moment + 60_000).last == .counted(
                .windows(WindowCounts(current: 2, previous: 4)),
                HitReceipt(.window(number + 1), unixMilliseconds: moment + 60_000)))
        #expect(try to.calls(of: "asking") > asked)
        try to.ask("SCRIPT", "FLUSH")
        #expect(await daemon.store.admitted(6, of: user, at: moment, StoreHost.quota(.tokenBucket, count: 4)) == 4)
        #expect(await daemon.store.revocations([ClusteredRedis.key(of: user, 0)]) == [.notRevoked])
        for node in [to, from] { try node.ask("CLUSTER", "SETSLOT", slot, "NODE", toID) }
        #expect(await hit() == counted(5))
        let asking = try to.calls(of: "asking")
        #expect(await hit() == counted(6))
        #expect(try to.calls(of: "asking") == asking)
        let keys = try to.ask("CLUSTER", "GETKEYSINSLOT", slot, "10").split(separator: "\n").map(String.init)
        for key in keys { #expect(try to.ask("PTTL", key) != "-1", "\(key)") }
        #expect(keys.count == 3)
        #expect(daemon.log.lines == [])
    }

    /// A slot is moved from the second master to a node that the cluster's map doesn't have.
    private func moveSlotToNewcomer(_ cluster: ClusteredRedis, _ daemon: Daemon) async throws {
        let user = ClusteredRedis.users(of: 1, 3)[2]
        let slot = "\(ClusteredRedis.slot(of: user))"
        let (from, to) = (cluster.masters[1], cluster.newcomer)
        let (fromID, toID) = try (from.ask("CLUSTER", "MYID"), to.ask("CLUSTER", "MYID"))
        try to.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", fromID)
        try from.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", toID)
        while await !daemon.countsInRedis(user) {}
        // For longer than a map lasts: the connection stays.
        for _ in 0..<20 { #expect(await daemon.countsInRedis(user)) }
        for node in [to, from] { try node.ask("CLUSTER", "SETSLOT", slot, "NODE", toID) }
        for _ in 0..<20 { #expect(await daemon.countsInRedis(user)) }
        await daemon.store.turn()
        try to.wait(["GET", ClusteredRedis.key(of: user, number)]) { $0 == "41" }
        #expect(daemon.log.lines == [])
    }

    /// The third master is killed under load, and its replica takes over.
    private func loseMaster(_ cluster: ClusteredRedis, _ daemon: Daemon) async throws {
        let limit = 3000
        let users = (0..<3).map { ClusteredRedis.users(of: $0, 3)[2] }
        let calm = ClusteredRedis.users(of: 2, 4)[3]
        _ = await daemon.store.hits(40, of: calm, at: moment)
        try cluster.replicas[2].wait(["CLUSTER", "COUNTKEYSINSLOT", "\(ClusteredRedis.slot(of: calm))"]) { $0 == "1" }
        let loads = users.map { load(daemon.store, of: $0, limit: limit) }
        cluster.masters[2].kill()
        while await daemon.countsInRedis(calm) {}
        for other in ClusteredRedis.users(of: 0, 1) + ClusteredRedis.users(of: 1, 1) {
            #expect(await daemon.countsInRedis(other))
        }
        try cluster.replicas[2].wait(["ROLE"]) { $0.hasPrefix("master") }
        while await !daemon.countsInRedis(calm) {}
        for user in users { #expect(await daemon.store.admitted(2 * limit, of: user, at: moment, quota(limit)) <= limit) }
        for (index, load) in loads.enumerated() {
            let admitted = await load.stop()
            // Nothing is admitted twice by nodes that were there all the time.
            #expect(admitted <= (index == 2 ? 2 * limit + limit / 10 : limit))
        }
        let name = "127.0.0.1:\(cluster.masters[2].port) of the cluster"
        #expect(daemon.log.lines.count == 2, "\(daemon.log.lines)")
        #expect(daemon.log.lines.allSatisfy { $0.contains(name) }, "\(daemon.log.lines)")
    }

    private func run(_ words: [String], at address: RedisAddress) async throws -> RedisValue {
        let loop = try EventLoop()
        let thread = try SystemThread(name: "tool") { loop.run() }
        let task = Task(executorPreference: loop) {
            defer { loop.stop() }
            return try await RedisCommander.run(words.map { Array($0.utf8) }, at: address, on: loop)
        }
        let reply = try await task.value
        thread.join()
        return reply
    }
}
