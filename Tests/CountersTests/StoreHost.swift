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
    /// - Parameter givenBack: how many hits of their window are given back before, in the same turn.
    nonisolated func hits(
        _ count: Int, of user: String = "one", at time: Int64, window: Window = minute, givenBack: Int = 0
    ) async -> [CountResult] {
        await onLoop { host in
            host.takeBack(givenBack, of: user, window.number(atMilliseconds: time), window, isFallback: false)
            return await host.judged(count, of: user, at: time, window: window, limit: .max).results
        }
    }

    /// How many hits of one turn a limit admits. The others are given back.
    nonisolated func admitted(
        _ count: Int, of user: String = "one", at time: Int64, window: Window = minute, limit: Int = 100
    ) async -> Int {
        await onLoop { await $0.judged(count, of: user, at: time, window: window, limit: limit).admitted }
    }

    private func judged(_ count: Int, of user: String, at time: Int64, window: Window, limit: Int) async -> HitJudge {
        let judge = HitJudge(store, keyPrefix(user), window, time, limit: limit, expected: count)
        await unsafe withUnsafeContinuation { continuation in
            unsafe judge.continuation = continuation
            judge.hit()
        }
        return judge
    }

    nonisolated func giveBack(
        _ count: Int, of user: String = "one", number: Int64, window: Window = minute, isFallback: Bool = false
    ) async {
        await onLoop { $0.takeBack(count, of: user, number, window, isFallback: isFallback) }
    }

    private func takeBack(_ count: Int, of user: String, _ number: Int64, _ window: Window, isFallback: Bool) {
        let prefix = keyPrefix(user)
        for _ in 0..<count {
            store.giveBack(keyPrefix: prefix.span, window: window, number: number, isFallback: isFallback)
        }
    }

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
                let judge = await host.judged(1, of: "anybody", at: time, window: Self.minute, limit: .max)
                if case .counted(_, _, isFallback: false) = judge.results[0] { return }
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

    private func keyPrefix(_ user: String) -> [UInt8] { Array("ratelimit:\(user):".utf8) }
}

/// Makes hits, judges each when its count is there, and gives back those that are refused.
@safe private final class HitJudge: CountReceiver {
    private let store: CounterStore
    private let keyPrefix: [UInt8]
    private let window: Window
    private let time: Int64
    private let limit: Int
    private let expected: Int
    private(set) var results: [CountResult] = []
    private(set) var admitted = 0
    private var tickets: Set<UInt64> = []
    var continuation: UnsafeContinuation<Void, Never>?

    init(_ store: CounterStore, _ keyPrefix: [UInt8], _ window: Window, _ time: Int64, limit: Int, expected: Int) {
        self.store = store
        self.keyPrefix = keyPrefix
        self.window = window
        self.time = time
        self.limit = limit
        self.expected = expected
    }

    func hit() {
        let keyPrefix = self.keyPrefix
        for ticket in 0..<UInt64(expected) {
            let outcome = store.hit(
                keyPrefix: keyPrefix.span, window: window, nowUnixMilliseconds: time, receiver: self, ticket: ticket)
            if case .done(let result) = outcome { counted(ticket: ticket, result) }
        }
    }

    func counted(ticket: UInt64, _ result: CountResult) {
        let keyPrefix = self.keyPrefix
        #expect(tickets.insert(ticket).inserted, "one hit was answered twice")
        results.append(result)
        switch result {
        case .counted(let counts, let number, let isFallback):
            if SlidingWindow.judge(counts, limit: limit, window: window, nowUnixMilliseconds: time).isAdmitted {
                admitted += 1
            } else {
                store.giveBack(keyPrefix: keyPrefix.span, window: window, number: number, isFallback: isFallback)
            }
        case .unavailable(let mode): admitted += mode == .allow ? 1 : 0
        }
        guard results.count == expected else { return }
        unsafe continuation?.resume()
        unsafe continuation = nil
    }
}
