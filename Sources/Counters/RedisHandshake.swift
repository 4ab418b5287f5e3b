import Bytes
import EventLoop

extension RedisConnection {
    /// Connects, authenticates, selects the database, and makes sure that counting works.
    ///
    /// A replica, a Redis that is full or still loading, and a user who may not count are all found here, not by hits.
    static func open(
        _ node: RedisNode, at place: RedisAddress.Place, for counters: RedisCounters, on waiter: Waiter,
        unless isOver: () -> Bool
    ) async throws(RedisFailure) -> RedisConnection {
        let backend = counters.backend
        let dialogue = try await RedisDialogue.open(
            place, backend.access.servers, counters.lookup, timeoutMilliseconds: backend.limits.handshakeMilliseconds, on: waiter,
            unless: isOver)
        var clock = StoreClock(offsetMilliseconds: node.clockOffsetMilliseconds)
        do throws(RedisFailure) {
            let role = node.isFoundBySentinels ? [["ROLE"]] : []
            let trial = node.trialKey.map(trial) ?? []
            let scripts = RedisScript.all.map { ["SCRIPT", "LOAD", $0.source] }
            let replies = try await dialogue.ask(role + trial + scripts, unless: isOver)
            for case .error(let text) in replies where !isOnItsWay(text) { throw RedisFailure(description: text) }
            if node.isFoundBySentinels, replies[0].elements.first?.string != "master" {
                throw RedisFailure(description: "\(place), which the sentinels call the master, isn't one")
            }
            let askedAt = backend.unixClock()
            let answer = try await dialogue.ask([["EVAL", RedisScript.clockSource, "0"]], unless: isOver)[0]
            if case .error(let text) = answer { throw RedisFailure(description: text) }
            if let time = answer.number { clock.note(time, askedAt: askedAt, answeredAt: backend.unixClock()) }
        } catch {
            dialogue.close()
            throw error
        }
        return RedisConnection(counters, node, dialogue.transport, waiter, clock, epoch: counters.nextEpoch())
    }

    private static func trial(_ key: String) -> [[String]] {
        [["SET", key, "0", "PX", "1000", "NX"], ["INCRBY", key, "0"], ["GET", key], ["PEXPIRE", key, "1"]]
    }

    /// A slot that is just being moved to another node is no reason to do without this one.
    private static func isOnItsWay(_ error: String) -> Bool { RedisRedirect(error)?.isAsk == true }
}
