import EventLoop

/// Lets a busy worker's HTTP/2 connections begin only so many requests a turn, and the others in the next ones: what is under way goes first.
///
/// Else all that has come is begun before any of it goes on, and by then what each of them works on is in the processor's caches no more. Of what 640
/// requests at a time cost, that was a twentieth on a quiet machine, and a fifth where others used its caches as well. Over HTTP/1.1 nobody waits:
/// with 256 clients, what the daemon and Redis take more for smaller batches is more than what is saved.
final class StreamPace<Work> {
    private let begin: (Work) -> Void
    private let isBusy: () -> Bool
    private let waiter: Waiter
    /// Who came when enough had begun, in order: each of a worker's connections once at the most. Taken out while it changes, as in the
    /// ``Spares``.
    private var line: [(work: Work, requestCount: Int)] = []
    /// How many requests have begun in this turn.
    private var begunCount = 0

    /// - Parameters:
    ///   - isBusy: whether so much is under way that no more than a turn's requests are to begin.
    ///   - begin: called in this turn or a later one, once for whatever was submitted. It submits nothing itself: the line may be out.
    init(loop: EventLoop, whenBusy isBusy: @escaping () -> Bool, begin: @escaping (Work) -> Void) {
        self.isBusy = isBusy
        self.begin = begin
        waiter = Waiter(loop: loop)
    }

    /// - Parameter requestCount: how many requests it begins, about: one at least.
    func submit(_ work: Work, requestCount: Int) {
        precondition(requestCount > 0, "whoever begins counts")
        if line.isEmpty, begunCount < requestsPerTurn || !isBusy() { return begin(work, requestCount) }
        var line = exchange(&self.line, with: [])
        line.append((work, requestCount))
        self.line = line
    }

    private func begin(_ work: Work, _ requestCount: Int) {
        if begunCount == 0 { waiter.loop.flushAtEndOfTurn(self) }
        begunCount &+= requestCount
        begin(work)
    }
}

/// How many begin in a turn, not counting what the last connection has beyond that. With fewer, less is written at once by each turn, and that costs
/// more than is saved.
private let requestsPerTurn = 40

extension StreamPace: TurnFlushing {
    func flush() {
        begunCount = 0
        if !line.isEmpty { waiter.restForTurn(self) }
    }
}

extension StreamPace: Resting {
    func roused() {
        var line = exchange(&self.line, with: [])
        var next = 0
        while next < line.count, begunCount < requestsPerTurn {
            begin(line[next].work, line[next].requestCount)
            next += 1
        }
        line.removeFirst(next)
        self.line = line
    }
}
