import EventLoop
import Logging

/// One Redis that a store counts in: its connection, made again where it is lost.
final class RedisNode {
    enum Whereabouts {
        case known(RedisAddress.Place)
        case askedOf(RedisSentinels)
    }

    /// Where the connection goes, or went last.
    private(set) var place: RedisAddress.Place?
    private(set) var connection: RedisConnection?
    /// A key that no caller's can be (they end in a window's number), to try every command on that a hit may need. In a
    /// cluster it is in one of this node's slots; nil where it has none.
    var trialKey: String?
    /// Whether somebody runs ``maintain()``.
    var isMaintained = false
    /// Why the last connection ended; nil before there was one.
    private(set) var lastLoss: String?
    private var lastClockOffset: Int64 = 0

    private let whereabouts: Whereabouts
    private unowned let counters: RedisCounters
    private let waiter: Waiter
    private let outage: RedisOutage
    private var isLeft = false

    private var backend: RedisBackend { counters.backend }
    private var loop: EventLoop { waiter.loop }
    private var isStopping: Bool { isLeft || counters.isStopping }

    init(_ whereabouts: Whereabouts, _ name: String, trialKey: String?, for counters: RedisCounters, loop: EventLoop) {
        self.whereabouts = whereabouts
        self.trialKey = trialKey
        self.counters = counters
        waiter = Waiter(loop: loop)
        outage = RedisOutage(name, counters.backend, counters.logger)
        if case .known(let place) = whereabouts { self.place = place }
    }

    /// Whether sentinels say where it is, and so it has to be a master.
    var isFoundBySentinels: Bool { if case .askedOf = whereabouts { true } else { false } }

    /// How far its clock is ahead of this machine's.
    var clockOffsetMilliseconds: Int64 { connection?.clock.offsetMilliseconds ?? lastClockOffset }

    /// Makes an attempt to connect, where there is no connection.
    func connect() async {
        guard connection == nil else { return }
        do throws(RedisFailure) {
            let place = try await find(on: waiter)
            self.place = place
            connection = try await RedisConnection.open(self, at: place, for: counters, on: waiter, unless: { self.isStopping })
            outage.end()
        } catch {
            goOut(because: error.description)
        }
    }

    private func find(on waiter: Waiter) async throws(RedisFailure) -> RedisAddress.Place {
        switch whereabouts {
        case .known(let place): place
        case .askedOf(let sentinels): try await sentinels.findMaster(on: waiter, unless: { self.isStopping })
        }
    }

    /// Keeps the connection, and makes it again where it is lost, until the store stops or leaves this node.
    func maintain() async {
        let pauses = backend.limits.reconnectMilliseconds
        var pause = pauses.lowerBound
        while !isStopping {
            let start = loop.nowMilliseconds
            await connect()
            if let connection {
                lastLoss = await connection.serve(unless: { self.isStopping })
                lastClockOffset = connection.clock.offsetMilliseconds
                self.connection = nil
                counters.nodeIsLost()
            }
            guard !isStopping else { return }
            if loop.nowMilliseconds - start > pauses.upperBound {
                pause = pauses.lowerBound
            } else {
                await waiter.sleep(milliseconds: Int64.random(in: pause / 2...pause), unless: { self.isStopping })
                pause = min(pause * 2, pauses.upperBound)
            }
        }
    }

    /// Asks the sentinels now and then whether another server is the master by now: an old one may not know that it isn't
    /// any more, where the network is divided.
    func followMaster(on waiter: Waiter) async {
        while !isStopping {
            let pause = backend.limits.relearnMilliseconds.upperBound
            await waiter.sleep(milliseconds: Int64.random(in: pause / 2...pause), unless: { self.isStopping })
            guard !isStopping, let connection else { continue }
            let old = place
            guard let found = try? await find(on: waiter), found != old, place == old else { continue }
            connection.leave(because: "the sentinels call \(found) the master")
        }
    }

    /// Ends ``maintain()`` once everything is answered: the cluster has no such master any more.
    func leave() {
        isLeft = true
        outage.forget()
        waiter.wake()
    }

    func goOut(because reason: String) {
        if !isStopping { outage.begin(because: reason) }
    }

    func comeBack() { outage.end() }
}

/// Whether the backend was told that one store can't count in one place.
final class RedisOutage {
    private let name: String
    private let backend: RedisBackend
    private let logger: Logger
    private var isUnderWay = false

    init(_ name: String, _ backend: RedisBackend, _ logger: Logger) {
        self.name = name
        self.backend = backend
        self.logger = logger
    }

    func begin(because reason: String) {
        guard !isUnderWay else { return }
        isUnderWay = true
        backend.isOut(name, because: reason, logger)
    }

    func end() {
        guard isUnderWay else { return }
        isUnderWay = false
        backend.isBack(name, "answers again: counting there", logger)
    }

    /// It will not come back, and no longer matters.
    func forget() {
        guard isUnderWay else { return }
        isUnderWay = false
        backend.isBack(name, "is no longer counted in: others serve its keys", logger)
    }
}
