import EventLoop
import Testing

@testable import ReverseProxy

private final class Connection: Settling {
    let number: Int
    var placeWhenIdle: Int?
    var wantsMore = false
    private(set) var lookCount = 0

    init(_ number: Int) { self.number = number }

    func settle() -> Bool {
        lookCount += 1
        return !wantsMore
    }
}

private actor Worker {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }

    init(loop: EventLoop) { self.loop = loop }

    /// Sweeps `count` connections, of which some leave after so many turns.
    ///
    /// - Returns: how many had been looked at after each turn, and how often each was in the end.
    func sweep(_ count: Int, wantingMore: Set<Int> = [], leaving: Set<Int> = [], after turns: Int = 0) async -> (turns: [Int], looks: [Int], left: Set<Int>) {
        let idle = IdleConnections<Connection>(loop: loop)
        let connections = (0..<count).map(Connection.init)
        for connection in connections {
            connection.wantsMore = wantingMore.contains(connection.number)
            idle.add(connection)
            idle.add(connection)
        }
        let waiter = Waiter(loop: loop)
        idle.sweep()
        var seen: [Int] = []
        for turn in 0..<10 {
            seen.append(connections.count { $0.lookCount > 0 })
            if turn == turns { for number in leaving { idle.remove(connections[number]) } }
            await waiter.yieldTurn()
        }
        // The places have to be those of the connections that are there.
        let left = connections.filter { $0.placeWhenIdle != nil }
        #expect(Set(left.map { $0.placeWhenIdle! }) == Set(0..<left.count))
        return (seen, connections.map(\.lookCount), Set(left.map(\.number)))
    }

    func stop() { loop.stop() }
}

@Suite struct `Idle connections` {
    private func sweep(
        _ count: Int, wantingMore: Set<Int> = [], leaving: Set<Int> = [], after turns: Int = 0
    ) async throws -> (turns: [Int], looks: [Int], left: Set<Int>) {
        let loop = try EventLoop()
        let worker = Worker(loop: loop)
        let thread = try SystemThread(name: "idle") { loop.run() }
        let result = await Task(executorPreference: loop) { await worker.sweep(count, wantingMore: wantingMore, leaving: leaving, after: turns) }.value
        await worker.stop()
        thread.join()
        return result
    }

    @Test func `are looked at some in a turn, each once`() async throws {
        let result = try await sweep(200)
        #expect(Array(result.turns.prefix(5)) == [64, 128, 192, 200, 200])
        #expect(result.looks == Array(repeating: 1, count: 200))
        #expect(result.left.isEmpty)
    }

    @Test func `stay where there is more to be done`() async throws {
        let wanting: Set = [0, 5, 63, 64, 100, 199]
        let result = try await sweep(200, wantingMore: wanting)
        #expect(result.looks == Array(repeating: 1, count: 200))
        #expect(result.left == wanting)
    }

    @Test(arguments: [[0, 1, 2], [10, 70, 130], [197, 198, 199], Array(0..<200)], [true, false])
    func `may go while they are looked at`(leaving: [Int], wantMore: Bool) async throws {
        let result = try await sweep(200, wantingMore: wantMore ? Set(0..<200) : [], leaving: Set(leaving), after: 0)
        #expect(result.left == (wantMore ? Set(0..<200).subtracting(leaving) : []))
        // Who takes the place of one that leaves may be looked at once more.
        #expect(result.looks.count { $0 > 1 } <= leaving.count)
        #expect(result.looks.enumerated().allSatisfy { $0.element > 0 || leaving.contains($0.offset) })
    }
}
