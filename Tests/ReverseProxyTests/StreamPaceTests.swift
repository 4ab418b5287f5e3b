import EventLoop
import Testing

@testable import ReverseProxy

private actor Clients {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }

    init(loop: EventLoop) { self.loop = loop }

    /// - Parameter requestCount: what each of them may begin.
    /// - Returns: who had begun at once, a turn later, and so on until nobody new has.
    func begin(_ clients: Range<Int>, requestCount: Int, later: Range<Int>, isBusy: Bool) async -> [[Int]] {
        var begun: [Int] = []
        let pace = StreamPace<Int>(loop: loop, whenBusy: { isBusy }, begin: { begun.append($0) })
        for client in clients { pace.submit(client, requestCount: requestCount) }
        var turns = [begun]
        for client in later { pace.submit(client, requestCount: requestCount) }
        let waiter = Waiter(loop: loop)
        while turns.count < 100 {
            begun = []
            await waiter.yieldTurn()
            if begun.isEmpty { return turns }
            turns.append(begun)
        }
        return turns
    }

    func stop() { loop.stop() }
}

@Suite struct `The pace of streams` {
    private func begin(_ clients: Range<Int>, requestCount: Int, later: Range<Int> = 0..<0, isBusy: Bool = true) async throws -> [[Int]] {
        let loop = try EventLoop()
        let worker = Clients(loop: loop)
        let thread = try SystemThread(name: "pace") { loop.run() }
        let turns = await Task(executorPreference: loop) {
            await worker.begin(clients, requestCount: requestCount, later: later, isBusy: isBusy)
        }.value
        await worker.stop()
        thread.join()
        return turns
    }

    @Test func `lets forty begin in a turn, in the order in which they came`() async throws {
        #expect(try await begin(0..<40, requestCount: 1) == [Array(0..<40)])
        #expect(try await begin(0..<100, requestCount: 1) == [Array(0..<40), Array(40..<80), Array(80..<100)])
    }

    @Test func `lets all begin where little is under way`() async throws {
        #expect(try await begin(0..<100, requestCount: 1, isBusy: false) == [Array(0..<100)])
    }

    @Test func `counts what a connection may begin, and lets the last one begin all of it`() async throws {
        #expect(try await begin(0..<5, requestCount: 30) == [[0, 1], [2, 3], [4]])
        #expect(try await begin(0..<3, requestCount: 1000) == [[0], [1], [2]])
    }

    @Test func `lets nobody pass those who wait`() async throws {
        #expect(try await begin(0..<3, requestCount: 40, later: 3..<5) == [[0], [1], [2], [3], [4]])
    }
}
