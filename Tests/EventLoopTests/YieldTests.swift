import EventLoop
import Testing

private actor Yielder {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
    private var otherHadItsTurn = false

    init(loop: EventLoop) { self.loop = loop }

    func yieldToAnother() async -> Bool {
        let waiter = Waiter(loop: loop)
        return await withDiscardingTaskGroup { group in
            // Enqueued, and so ready for a turn.
            group.addTask(executorPreference: loop) { await self.takeTurn() }
            await waiter.yieldTurn()
            return otherHadItsTurn
        }
    }

    private func takeTurn() { otherHadItsTurn = true }

    func stop() { loop.stop() }
}

@Test func `a task that yields its turn lets the others have theirs`() async throws {
    let loop = try EventLoop()
    let yielder = Yielder(loop: loop)
    let thread = try SystemThread(name: "yield") { loop.run() }
    #expect(await Task(executorPreference: loop) { await yielder.yieldToAnother() }.value)
    await yielder.stop()
    thread.join()
}
