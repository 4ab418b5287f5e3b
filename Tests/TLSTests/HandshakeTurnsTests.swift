import EventLoop
import Testing

@testable import TLS

/// A worker on which several tasks want to take a step at once.
private actor Worker {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
    private let turns: HandshakeTurns
    private let thread: SystemThread
    private var turn = 0
    private var order: [Int] = []
    private var turnsOfSteps: [Int] = []
    private var leaving: Set<Int> = []
    private var isDone = false

    init() throws {
        let loop = try EventLoop()
        self.loop = loop
        turns = HandshakeTurns(loop: loop)
        thread = try SystemThread(name: "worker") { loop.run() }
    }

    /// Has `count` tasks take a step each, of which those that leave give up while they wait.
    func run(_ count: Int, leaving: Set<Int>) async -> (order: [Int], turnsOfSteps: [Int]) {
        self.leaving = leaving
        await withDiscardingTaskGroup { group in
            group.addImmediateTask(executorPreference: loop) { await self.countTurns() }
            await withDiscardingTaskGroup { steps in
                for number in 0..<count {
                    steps.addImmediateTask(executorPreference: self.loop) { await self.step(number) }
                }
            }
            self.isDone = true
        }
        return (order, turnsOfSteps)
    }

    private func countTurns() async {
        let waiter = Waiter(loop: loop)
        while !isDone {
            turn += 1
            // As a drain does: who wants to leave the line sees that it may.
            loop.wakeAll()
            await waiter.yieldTurn()
        }
    }

    private func step(_ number: Int) async {
        let waiter = Waiter(loop: loop)
        guard await turns.take(on: waiter, unless: { leaving.contains(number) }) else { return }
        order.append(number)
        turnsOfSteps.append(turn)
    }

    func stop() { loop.stop() }
}

@Suite struct `Turns of handshakes` {
    @Test func `let one step through in each turn of the loop, in order, past those who gave up`() async throws {
        let worker = try Worker()
        let (order, turns) = await Task(executorPreference: worker.loop) { await worker.run(50, leaving: [7, 8, 49]) }.value
        #expect(order == (0..<50).filter { ![7, 8, 49].contains($0) })
        // The first step is taken in the turn in which the counting begins.
        #expect(Set(turns.dropFirst()).count == turns.count - 1, "\(turns)")
        await Task(executorPreference: worker.loop) { await worker.stop() }.value
    }
}
