import EventLoop

/// A cluster as one store counts in it: who serves which slots, and a connection to each of those.
///
/// Its map is learned from any node, again when a node is lost or says that a slot has moved (seldom enough for the cluster's
/// sake), and now and then.
final class RedisCluster {
    /// How many nodes are asked for a map before there is a pause.
    private static let maximumTries = 8
    private static let maximumNewcomers = 16

    private unowned let counters: RedisCounters
    private let lookup: HostLookup
    private let seeds: [RedisAddress.Place]
    private let waiter: Waiter
    private let outage: RedisOutage

    private var nodes: [RedisNode] = []
    private var replicas: [RedisAddress.Place] = []
    /// Nodes that have no slots, but get some, and when we were last sent to each of them.
    private var newcomers: [RedisAddress.Place: Int64] = [:]
    private var owners = [UInt16](repeating: RedisClusterMap.nobody, count: RedisSlot.count)
    private var epoch: Int64 = 0
    /// When the map was asked for last; monotonic milliseconds.
    private var askedAt: Int64 = 0
    private var isChanged = false
    private var pauseFactor = Double.random(in: 1...2)

    private var backend: RedisBackend { counters.backend }

    init(_ seeds: [RedisAddress.Place], for counters: RedisCounters, loop: EventLoop, _ lookup: HostLookup) {
        self.seeds = seeds
        self.counters = counters
        self.lookup = lookup
        waiter = Waiter(loop: loop)
        outage = RedisOutage(counters.backend.address.description, counters.backend, counters.logger)
    }

    func node(ofSlot slot: Int) -> RedisNode? {
        let owner = Int(owners[slot])
        if owner < nodes.count { return nodes[owner] }
        outage.begin(because: nodes.isEmpty ? "none of its nodes was found" : "no node serves slot \(slot)")
        return nil
    }

    /// Follows a redirection for its slot. Returns the node to go to, where that is known.
    func follow(_ redirect: RedisRedirect, from node: RedisNode) -> RedisNode? {
        guard let target = node.place.map(redirect.target) else { return nil }
        let index = nodes.firstIndex { $0.place == target }
        if !redirect.isAsk {
            if let index { owners[redirect.slot] = UInt16(index) }
            change()
        } else if index == nil || newcomers[target] != nil {
            welcome(target, isKnown: index != nil)
        }
        return index.map { nodes[$0] }
    }

    /// Remembers a node that a slot is being moved to, and connects to it where it isn't known: the map doesn't have it before
    /// its first slot has arrived.
    private func welcome(_ place: RedisAddress.Place, isKnown: Bool) {
        guard newcomers[place] != nil || newcomers.count < Self.maximumNewcomers else { return }
        newcomers[place] = waiter.loop.nowMilliseconds
        guard !isKnown else { return }
        nodes.append(node(at: place))
        waiter.wake()
    }

    private func node(at place: RedisAddress.Place) -> RedisNode {
        RedisNode(.known(place), "\(place) of the cluster", trialKey: nil, for: counters, loop: waiter.loop)
    }

    /// Has the map learned again, soon.
    func change() {
        isChanged = true
        waiter.wake()
    }

    // MARK: Learning

    /// Learns the map and connects to all that serve slots, once.
    func connect(isolation: isolated (any Actor)? = #isolation) async {
        await learn()
        await withDiscardingTaskGroup { group in
            for node in nodes {
                group.addImmediateTask(executorPreference: waiter.loop) {
                    _ = isolation
                    await node.connect()
                }
            }
        }
    }

    /// Keeps the map and the connections until the store stops.
    func maintain(isolation: isolated (any Actor)? = #isolation) async {
        await withDiscardingTaskGroup { group in
            while !counters.isStopping {
                for node in nodes where !node.isMaintained {
                    node.isMaintained = true
                    group.addImmediateTask(executorPreference: waiter.loop) {
                        _ = isolation
                        await node.maintain()
                    }
                }
                let wait = nextLearning - waiter.loop.nowMilliseconds
                if wait <= 0 {
                    await learn()
                } else {
                    waiter.setDeadline(afterMilliseconds: wait)
                    await waiter.park()
                    waiter.clearDeadline()
                }
            }
        }
    }

    private var nextLearning: Int64 {
        let pauses = backend.limits.relearnMilliseconds
        let isIncomplete = isChanged || nodes.isEmpty || nodes.contains { $0.connection == nil }
        // Not all stores at once.
        return askedAt + Int64(Double(isIncomplete ? pauses.lowerBound : pauses.upperBound / 2) * pauseFactor)
    }

    private func learn() async {
        isChanged = false
        askedAt = waiter.loop.nowMilliseconds
        pauseFactor = Double.random(in: 1...2)
        var newest: RedisClusterMap?
        var failures: [String] = []
        for place in candidates {
            do throws(RedisFailure) {
                let map = try await map(from: place)
                if map.epoch >= newest?.epoch ?? .min { newest = map }
                // An older one comes from a node that has lost touch, or of a cluster that was made anew.
                if map.epoch >= epoch { break }
            } catch {
                failures.append("\(place): \(error)")
            }
            if counters.isStopping { return }
        }
        if let newest {
            use(newest)
        } else if nodes.isEmpty {
            outage.begin(because: failures.joined(separator: "; "))
        }
    }

    /// Whom to ask: those that answer, then those that might.
    private var candidates: [RedisAddress.Place] {
        let connected = nodes.filter { $0.connection?.isUsable == true }.compactMap(\.place).shuffled()
        let others = (nodes.compactMap(\.place) + replicas).shuffled() + seeds.shuffled()
        var candidates: [RedisAddress.Place] = []
        for place in connected + others where candidates.count < Self.maximumTries && !candidates.contains(place) {
            candidates.append(place)
        }
        return candidates
    }

    private func map(from place: RedisAddress.Place) async throws(RedisFailure) -> RedisClusterMap {
        let dialogue = try await RedisDialogue.open(
            place, backend.access.servers, lookup, timeoutMilliseconds: backend.limits.handshakeMilliseconds, on: waiter,
            unless: { counters.isStopping })
        defer { dialogue.close() }
        let replies = try await dialogue.ask(RedisClusterMap.commands, unless: { counters.isStopping })
        return try RedisClusterMap(replies, from: place)
    }

    private func use(_ map: RedisClusterMap) {
        let forgotten = waiter.loop.nowMilliseconds - backend.limits.relearnMilliseconds.upperBound
        newcomers = newcomers.filter { $0.value > forgotten && !map.masters.contains($0.key) }
        var left = nodes
        nodes = (map.masters + newcomers.keys).map { place in
            if let known = left.firstIndex(where: { $0.place == place }) { return left.remove(at: known) }
            return node(at: place)
        }
        for node in left { node.leave() }
        (owners, replicas, epoch) = (map.owners, map.replicas, map.epoch)
        for index in map.masters.indices { nodes[index].trialKey = trialKey(of: index) }
        if !owners.contains(RedisClusterMap.nobody) { outage.end() }
    }

    /// A key in one of a node's slots.
    private func trialKey(of index: Int) -> String? {
        (0..<16 * RedisSlot.count).lazy.map { "{ratelimit:\($0)}" }.first { owners[RedisSlot.of(Array($0.utf8))] == index }
    }
}
