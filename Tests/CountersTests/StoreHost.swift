import EventLoop
import Logging
import Policy
import Testing

@testable import Counters

/// A worker as the daemon's is, with nothing but a store: an actor on a loop with its own thread.
actor StoreHost {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
    private let store: CounterStore
    private let thread: SystemThread
    private var maintenance: Task<Void, Never>?

    static let minute = Window(lengthSeconds: 60)
    static let generous = quota()

    /// A quota of minutes.
    static func quota(_ algorithm: LimitAlgorithm = .slidingWindow, count: Int = 10_000) -> Quota {
        try! Quota(algorithm, count: count, windowSeconds: 60)
    }

    init(_ kind: CounterStore.Kind, logger: Logger) throws {
        let loop = try EventLoop()
        self.loop = loop
        store = CounterStore(kind, loop: loop, logger: logger)
        thread = try SystemThread(name: "store") { loop.run() }
    }

    /// Connects, and keeps the connection.
    nonisolated func start() async { await onLoop { await $0.startStore() } }

    private func startStore() async {
        await store.connect()
        maintenance = Task(executorPreference: loop) { await self.maintainStore() }
    }

    private func maintainStore() async { await store.maintain() }

    nonisolated func stop() async { await onLoop { await $0.stopStore() } }

    private func stopStore() async {
        store.stop()
        await maintenance?.value
        loop.stop()
    }

    /// The results of hits that were all made in one turn, in the order in which they came.
    ///
    /// - Parameters:
    ///   - costs: of the hits, one after the other, and then again.
    ///   - givenBack: how many hits of their window are given back before, in the same turn.
    nonisolated func hits(
        _ count: Int, of user: String = "one", at time: Int64, _ quota: Quota = generous, costs: [Int] = [1],
        givenBack: Int = 0
    ) async -> [CountResult] {
        await onLoop { host in
            host.takeBack(givenBack, of: user, quota.window.number(atMilliseconds: time), quota)
            return await host.judged(count, of: user, at: time, quota, costs: costs).results
        }
    }

    /// How many hits of one turn a limit admits. The others are given back.
    ///
    /// - Parameter remembering: whether the store is told until when the key is over.
    nonisolated func admitted(
        _ count: Int, of user: String = "one", at time: Int64, _ quota: Quota = quota(count: 100), costs: [Int] = [1],
        remembering: Bool = false
    ) async -> Int {
        await onLoop { await $0.judged(count, of: user, at: time, quota, costs: costs, remembering: remembering).admitted }
    }

    private func judged(
        _ count: Int, of user: String, at time: Int64, _ quota: Quota, costs: [Int] = [1], remembering: Bool = false
    ) async -> HitJudge {
        let judge = HitJudge(store, key(user), quota, time, costs: costs, expected: count, remembering: remembering)
        await unsafe withUnsafeContinuation { continuation in
            unsafe judge.continuation = continuation
            judge.hit()
        }
        return judge
    }

    /// Gives back admitted hits of a window.
    nonisolated func giveBack(
        _ count: Int, of user: String = "one", number: Int64, _ quota: Quota = generous
    ) async {
        await onLoop { $0.takeBack(count, of: user, number, quota) }
    }

    private func takeBack(_ count: Int, of user: String, _ number: Int64, _ quota: Quota) {
        let receipt = HitReceipt(.window(number), unixMilliseconds: number * 60_000)
        for _ in 0..<count { giveBack(receipt, of: user, quota, cost: 1) }
    }

    nonisolated func giveBack(_ result: CountResult, of user: String = "one", _ quota: Quota, cost: Int = 1) async {
        guard case .counted(_, let receipt) = result else { return }
        await onLoop { $0.giveBack(receipt, of: user, quota, cost: cost) }
    }

    private func giveBack(_ receipt: HitReceipt, of user: String, _ quota: Quota, cost: Int) {
        let key = key(user)
        store.giveBack(key: key.span, quota: quota, cost: cost, receipt, overUntilUnixMilliseconds: nil)
    }

    /// What Redis says of things that may be revoked, all asked for in one turn.
    nonisolated func revocations(_ keys: [String]) async -> [RevocationResult] {
        await onLoop { await $0.lookUp(keys) }
    }

    private func lookUp(_ keys: [String]) async -> [RevocationResult] {
        let inquirer = Inquirer(store, keys)
        await unsafe withUnsafeContinuation { continuation in
            unsafe inquirer.continuation = continuation
            inquirer.ask()
        }
        return (0..<keys.count).compactMap { inquirer.results[UInt64($0)] }
    }

    nonisolated func clockOffset() async -> Int64 { await onLoop { $0.store.clockOffsetMilliseconds } }

    /// Returns once this loop has gone through a turn, and so what was collected is sent.
    nonisolated func turn() async {
        await onLoop { host in
            let waiter = Waiter(loop: host.loop)
            await waiter.yieldTurn()
            await waiter.yieldTurn()
        }
    }

    /// Asks until Redis counts again, in a window where it does no harm.
    nonisolated func waitUntilRedisCounts(at time: Int64 = 0) async {
        await onLoop { host in
            while true {
                let judge = await host.judged(1, of: "anybody", at: time, Self.generous)
                if judge.results[0].isFallback == false { return }
                await Waiter(loop: host.loop).sleep(milliseconds: 10)
            }
        }
    }

    /// As the daemon's tasks do: without a preference for the loop, what suspends resumes on another thread first.
    private nonisolated func onLoop<Result: Sendable>(
        _ body: @escaping @Sendable (isolated StoreHost) async -> Result
    ) async -> Result {
        await Task(executorPreference: loop) { await body(self) }.value
    }

    private func key(_ user: String) -> [UInt8] { Array("ratelimit:\(user):".utf8) }
}

extension CountResult {
    /// Nil where it wasn't counted.
    var isFallback: Bool? {
        if case .counted(_, let receipt) = self { receipt.isFallback } else { nil }
    }

    /// Whether Redis was waited for in vain first. Nil where it wasn't counted.
    var isLate: Bool? {
        if case .counted(_, let receipt) = self { receipt.isLate } else { nil }
    }
}

/// Waits for what is looked up.
@safe private final class Inquirer: CountReceiver {
    private let store: CounterStore
    private let keys: [String]
    private(set) var results: [UInt64: RevocationResult] = [:]
    var continuation: UnsafeContinuation<Void, Never>?

    init(_ store: CounterStore, _ keys: [String]) {
        self.store = store
        self.keys = keys
    }

    func ask() {
        for (index, key) in keys.enumerated() {
            let key = Array(key.utf8)
            let outcome = store.revocation(of: key.span, receiver: self, ticket: UInt64(index))
            if case .done(let result) = outcome { lookedUp(ticket: UInt64(index), result) }
        }
    }

    func counted(ticket: UInt64, _ result: CountResult) { Issue.record("nothing was to be counted") }

    func lookedUp(ticket: UInt64, _ result: RevocationResult) {
        #expect(results.updateValue(result, forKey: ticket) == nil, "one question was answered twice")
        guard results.count == keys.count else { return }
        unsafe continuation?.resume()
        unsafe continuation = nil
    }
}

/// Makes hits, judges each when its count is there, and gives back those that are refused.
@safe private final class HitJudge: CountReceiver {
    private let store: CounterStore
    private let key: [UInt8]
    private let quota: Quota
    private let time: Int64
    private let costs: [Int]
    private let expected: Int
    private let isRemembering: Bool
    private(set) var results: [CountResult] = []
    private(set) var admitted = 0
    private var tickets: Set<UInt64> = []
    var continuation: UnsafeContinuation<Void, Never>?

    init(
        _ store: CounterStore, _ key: [UInt8], _ quota: Quota, _ time: Int64, costs: [Int], expected: Int, remembering: Bool
    ) {
        self.store = store
        self.key = key
        self.quota = quota
        self.time = time
        self.costs = costs
        self.expected = expected
        isRemembering = remembering
    }

    private func cost(_ ticket: UInt64) -> Int { costs[Int(ticket) % costs.count] }

    func hit() {
        let key = self.key
        for ticket in 0..<UInt64(expected) {
            let outcome = store.hit(
                key: key.span, quota: quota, cost: cost(ticket), nowUnixMilliseconds: time, receiver: self, ticket: ticket)
            if case .done(let result) = outcome { counted(ticket: ticket, result) }
        }
    }

    func lookedUp(ticket: UInt64, _ result: RevocationResult) { Issue.record("nothing was to be looked up") }

    func counted(ticket: UInt64, _ result: CountResult) {
        let key = self.key
        #expect(tickets.insert(ticket).inserted, "one hit was answered twice")
        results.append(result)
        switch result {
        case .counted(let state, let receipt):
            let status = quota.judge(state, cost: cost(ticket), nowUnixMilliseconds: receipt.unixMilliseconds)
            if status.isAdmitted {
                admitted += 1
            } else {
                store.giveBack(
                    key: key.span, quota: quota, cost: cost(ticket), receipt,
                    overUntilUnixMilliseconds: isRemembering ? status.retryAtUnixMilliseconds : nil)
            }
        case .knownOver: break
        case .unavailable(let mode): admitted += mode == .allow ? 1 : 0
        }
        guard results.count == expected else { return }
        unsafe continuation?.resume()
        unsafe continuation = nil
    }
}
