import EventLoop
import Logging
import Policy

/// Counts hits in Redis, or without it while it is lost: one store's side of it.
final class RedisCounters {
    private enum Topology {
        case node(RedisNode)
        case cluster(RedisCluster)
    }

    let backend: RedisBackend
    let logger: Logger
    let lookup = HostLookup()
    private let loop: EventLoop
    private var topology: Topology?

    private let keys: RecentKeys<CountedKey>
    private var connectionsMade = 0
    private(set) var isStopping = false
    /// How far the clock of Redis is ahead of this machine's; in a cluster, that of the node that was asked last.
    private var lastClockOffset: Int64 = 0
    /// Random, so that no two stores give hits the same names, and such that Lua's numbers hold it exactly.
    private var nextID = Int.random(in: 0..<(1 << 52))
    /// The time in Redis, as the last caller's makes it.
    private var unixMilliseconds: Int64 = 0

    init(_ backend: RedisBackend, loop: EventLoop, logger: Logger) {
        self.backend = backend
        self.loop = loop
        self.logger = logger
        keys = RecentKeys(capacity: backend.limits.rememberedKeys)
        let whereabouts: RedisNode.Whereabouts
        switch backend.address.topology {
        case .single(let place): whereabouts = .known(place)
        case .sentinel(let places, let master):
            let timeout = backend.limits.handshakeMilliseconds
            whereabouts = .askedOf(RedisSentinels(places, master: master, backend.access.sentinels, timeout, lookup))
        case .cluster(let seeds):
            topology = .cluster(RedisCluster(seeds, for: self, loop: loop, lookup))
            return
        }
        topology = .node(
            RedisNode(whereabouts, backend.address.description, trialKey: "ratelimit:", for: self, loop: loop))
    }

    // MARK: Counting

    /// - Parameter hit: of a cost of 1 or more.
    func hit(_ key: Span<UInt8>, _ quota: Quota, _ now: Int64, _ hit: WaitingHit) -> CountOutcome {
        let (key, node) = find(key, quota, now)
        if let over = knownOver(key, hit.cost) { return .done(over) }
        guard let connection = usableConnection(to: node) else {
            return .done(countWithoutRedis(key, quota, hit.cost, unixMilliseconds))
        }
        connection.collect(hit, key, quota, unixMilliseconds: unixMilliseconds)
        return .pending
    }

    /// Whether a hit of cost 1 may be admitted, as far as that is known without asking Redis.
    func look(_ key: Span<UInt8>, _ quota: Quota, _ now: Int64) -> CountResult {
        let (key, node) = find(key, quota, now)
        if let over = knownOver(key, 1) { return over }
        if node?.connection?.isUsable == true {
            return .counted(.first(quota, cost: 0), HitReceipt(.nothing, unixMilliseconds: unixMilliseconds))
        }
        return countWithoutRedis(key, quota, 0, unixMilliseconds)
    }

    func giveBack(_ key: Span<UInt8>, _ quota: Quota, _ cost: Int, _ receipt: HitReceipt, overUntil: Int64?) {
        let entry = entry(key, quota)
        if let overUntil {
            // In memory it costs nothing to ask, and what is known there ends when Redis is back.
            if !receipt.isFallback { entry.note(overUntil: overUntil, cost: cost) }
        } else {
            entry.hasRoomAgain()
        }
        if receipt.isFallback {
            backend.fallback.giveBack(key, quota, cost: cost, receipt, nowUnixMilliseconds: unixMilliseconds)
            if receipt.isLate { entry.refuseLate(cost) }
            return
        }
        let connection = node(ofSlot: entry.slot)?.connection
        switch receipt.charge {
        case .nothing: break
        case .window(let number):
            connection?.collectGivenBack(cost, entry, quota, number, unixMilliseconds: unixMilliseconds)
        case .bucket(let refilledAt):
            // Past that, what the hit took has flowed in again.
            guard unixMilliseconds < refilledAt else { return }
            connection?.collectGivenBack(cost, id: nil, entry, quota, unixMilliseconds: unixMilliseconds)
        case .log(let id): connection?.collectGivenBack(cost, id: id, entry, quota, unixMilliseconds: unixMilliseconds)
        }
    }

    func revocation(of key: Span<UInt8>, _ waiting: WaitingHit) -> RevocationOutcome {
        // Remembered so that all who ask for it in this turn ask once.
        let entry = entry(key, mattersUntil: unixMilliseconds)
        guard let connection = usableConnection(to: node(ofSlot: isCluster ? entry.plainSlot : 0)) else {
            return .done(.unavailable)
        }
        connection.collectLookup(waiting, entry, unixMilliseconds: unixMilliseconds)
        return .pending
    }

    /// How far the clock of Redis is ahead of this machine's.
    var clockOffsetMilliseconds: Int64 {
        if case .node(let node) = topology { node.clockOffsetMilliseconds } else { lastClockOffset }
    }

    /// What is known of a key, and who counts it: the time is by that one's clock then.
    private func find(_ key: Span<UInt8>, _ quota: Quota, _ now: Int64) -> (key: CountedKey, node: RedisNode?) {
        unixMilliseconds = now + clockOffsetMilliseconds
        let entry = entry(key, quota)
        let node = node(ofSlot: entry.slot)
        if isCluster, let node {
            lastClockOffset = node.clockOffsetMilliseconds
            unixMilliseconds = now + lastClockOffset
        }
        return (entry, node)
    }

    /// The connection to a node, where hits may be collected for it.
    private func usableConnection(to node: RedisNode?) -> RedisConnection? {
        guard let node else { return nil }
        guard let connection = node.connection else {
            if let loss = node.lastLoss { node.goOut(because: loss) }
            return nil
        }
        return connection.isUsable ? connection : nil
    }

    private func knownOver(_ key: CountedKey, _ cost: Int) -> CountResult? {
        key.knownOver(cost, now: unixMilliseconds).map { .knownOver(untilUnixMilliseconds: $0 - clockOffsetMilliseconds) }
    }

    /// Names hits in logs: the first one of `count`.
    func takeIDs(_ count: Int) -> Int {
        defer { nextID += count }
        return nextID
    }

    private func entry(_ key: Span<UInt8>, _ quota: Quota) -> CountedKey {
        // What was counted in a window is asked for to the end of the next.
        entry(key, mattersUntil: unixMilliseconds + 2 * Int64(quota.window.lengthSeconds) * 1000)
    }

    private func entry(_ key: Span<UInt8>, mattersUntil: Int64) -> CountedKey {
        let hash = KeyHash(key)
        if let entry = keys.find(key, hash: hash, now: unixMilliseconds) {
            entry.willMatter(until: mattersUntil)
            return entry
        }
        let entry = CountedKey(key: key.array, mattersUntil: mattersUntil, isInCluster: isCluster)
        keys.insert(entry, hash: hash, now: unixMilliseconds)
        return entry
    }

    private func countWithoutRedis(
        _ key: CountedKey, _ quota: Quota, _ cost: Int, _ now: Int64, isLate: Bool = false
    ) -> CountResult {
        guard backend.onFailure == .local else { return .unavailable(backend.onFailure) }
        let name = key.key
        let (state, charge) = backend.fallback.hit(
            name.span, quota, cost: cost, nowUnixMilliseconds: now, startingFrom: key.seen(quota, now: now))
        return .counted(state, HitReceipt(charge, unixMilliseconds: now, isFallback: true, isLate: isLate))
    }

    /// Answers those who wait for a batch that Redis didn't answer, or not in time.
    func answerWithoutRedis(_ batch: inout HitBatch) {
        let (key, now, isLate) = (batch.key, batch.unixMilliseconds, batch.isLate)
        switch batch.work {
        case .window(let quota, _), .hits(let quota, _), .givingBack(let quota, _):
            batch.answerEach { hit, _ in
                hit.receiver.counted(
                    ticket: hit.ticket, countWithoutRedis(key, quota, hit.cost, now, isLate: isLate))
            }
        case .lookup:
            batch.answerEach { hit, _ in hit.receiver.lookedUp(ticket: hit.ticket, .unavailable) }
        }
    }

    /// What those hits of a batch cost that Redis counted too late and is not to keep: all that were refused meanwhile.
    func refusedLate(of batch: HitBatch) -> Int {
        let refused = batch.key.takeRefusedLate(upTo: batch.cost)
        return backend.onFailure == .deny ? batch.cost : refused
    }

    // MARK: The connections

    var isCluster: Bool { if case .cluster = topology { true } else { false } }

    /// Who counts the keys of a slot.
    private func node(ofSlot slot: Int) -> RedisNode? {
        switch topology {
        case .node(let node): node
        case .cluster(let cluster): cluster.node(ofSlot: slot)
        case nil: nil
        }
    }

    /// The connection to the node that a redirection names, where hits may be collected for it.
    func follow(_ redirect: RedisRedirect, from node: RedisNode) -> RedisConnection? {
        guard case .cluster(let cluster) = topology, let target = cluster.follow(redirect, from: node)?.connection,
            target.isUsable
        else { return nil }
        return target
    }

    /// Which connection of this store the next one is, from 1.
    func nextEpoch() -> Int {
        connectionsMade += 1
        return connectionsMade
    }

    func nodeIsLost() {
        if case .cluster(let cluster) = topology { cluster.change() }
    }

    func connect() async {
        switch topology {
        case .node(let node): await node.connect()
        case .cluster(let cluster): await cluster.connect()
        case nil: break
        }
    }

    func maintain(isolation: isolated (any Actor)? = #isolation) async {
        switch topology {
        case .node(let node):
            guard node.isFoundBySentinels else { return await node.maintain() }
            await withDiscardingTaskGroup { group in
                group.addImmediateTask(executorPreference: loop) {
                    _ = isolation
                    await node.followMaster(on: Waiter(loop: self.loop))
                }
                await node.maintain()
            }
        case .cluster(let cluster): await cluster.maintain()
        case nil: break
        }
    }

    func stop() {
        isStopping = true
        loop.wakeAll()
    }
}
