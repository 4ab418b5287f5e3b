import EventLoop
import Testing

/// Rests for a turn as often as it is told to, without a task.
private final class Rester: Resting {
    private let waiter: Waiter
    private let ended: Waiter
    private(set) var turnsLeft: Int

    init(loop: EventLoop, turns: Int) {
        waiter = Waiter(loop: loop)
        ended = Waiter(loop: loop)
        turnsLeft = turns
    }

    func rest() async {
        waiter.restForTurn(self)
        while turnsLeft > 0 { await ended.park() }
    }

    func roused() {
        turnsLeft -= 1
        if turnsLeft > 0 { waiter.restForTurn(self) } else { ended.wake() }
    }
}

/// Rests for a turn, again and again, until it is told to stop.
private final class Restless: Resting {
    let waiter: Waiter
    var isDone = false
    private(set) var count = 0

    init(loop: EventLoop) {
        waiter = Waiter(loop: loop)
        waiter.restForTurn(self)
    }

    func roused() {
        count += 1
        if !isDone { waiter.restForTurn(self) }
    }
}

private actor Bed {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }

    init(loop: EventLoop) { self.loop = loop }

    func rest(turns: Int) async -> Int {
        let rester = Rester(loop: loop, turns: turns)
        await rester.rest()
        return rester.turnsLeft
    }

    /// - Returns: how often one is roused in so many turns who is woken by something else in each of them.
    func disturb(turns: Int) async -> Int {
        let restless = Restless(loop: loop)
        let pace = Waiter(loop: loop)
        for _ in 0..<turns {
            await pace.yieldTurn()
            restless.waiter.wake()
        }
        restless.isDone = true
        return restless.count
    }

    func stop() { loop.stop() }
}

@Test func `who rests for a turn may rest for another as soon as it is over`() async throws {
    let loop = try EventLoop()
    let bed = Bed(loop: loop)
    let thread = try SystemThread(name: "rest") { loop.run() }
    #expect(await Task(executorPreference: loop) { await bed.rest(turns: 3) }.value == 0)
    await bed.stop()
    thread.join()
}

@Test func `who is woken before the turn is over has no second turn for it`() async throws {
    let loop = try EventLoop()
    let bed = Bed(loop: loop)
    let thread = try SystemThread(name: "rest") { loop.run() }
    let count = await Task(executorPreference: loop) { await bed.disturb(turns: 50) }.value
    #expect(count >= 50 && count <= 110)
    await bed.stop()
    thread.join()
}
