import EventLoop

/// The requests of one worker that wait for their turn at an upstream. Who is next of all workers', ``RequestLine`` says.
final class WaitingLine {
    /// What the worker is called in the ``RequestLine``.
    let worker: Int
    private let milliseconds: Int64
    private var turns: [Turn] = []

    private final class Turn {
        let waiter: Waiter
        var hasCome = false

        init(_ waiter: Waiter) { self.waiter = waiter }
    }

    /// - Parameter milliseconds: how long one waits at the most.
    init(worker: Int, milliseconds: Int64) {
        self.worker = worker
        self.milliseconds = milliseconds
    }

    /// Waits for a turn.
    ///
    /// - Returns: nil when it has come, else why it is given up.
    func wait(_ client: ClientConnection, until deadline: Int64, in status: UpstreamStatus) async -> UpstreamService.Entrance? {
        let (waiter, worker) = (client.waiter, client.worker)
        let turn = Turn(waiter)
        turns.append(turn)
        waiter.setDeadline(afterMilliseconds: min(milliseconds, deadline - worker.loop.nowMilliseconds))
        while !turn.hasCome {
            let reason: UpstreamService.Entrance? =
                client.stream.isBroken ? .clientGone : worker.isDrainOver ? .drainOver : waiter.isDue ? .overloaded : nil
            if let reason {
                turns.removeAll { $0 === turn }
                // Where a turn for one of this worker's is on its way already, whoever is first here takes it.
                _ = status.giveUpLine(self.worker)
                return reason
            }
            await waiter.park()
        }
        return nil
    }

    /// - Returns: false where nobody waits any more.
    func callNext() -> Bool {
        guard !turns.isEmpty else { return false }
        let turn = turns.removeFirst()
        turn.hasCome = true
        turn.waiter.wake()
        return true
    }
}
