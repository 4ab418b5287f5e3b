import EventLoop

/// One worker's part of the line before an upstream: its requests that wait there. Who is next of all workers', ``RequestLine`` says.
final class WaitingLine {
    private let status: UpstreamStatus
    private let milliseconds: Int64
    /// What the worker is called in the ``RequestLine``.
    private var worker = 0
    private var turns: [Turn] = []

    private final class Turn {
        let waiter: Waiter
        var hasCome = false

        init(_ waiter: Waiter) { self.waiter = waiter }
    }

    /// The line on its way through another worker's thread, back to the one thread where it is touched.
    private final class Handle: @unchecked Sendable {
        weak var line: WaitingLine?

        init(_ line: WaitingLine) { self.line = line }
    }

    /// - Parameter milliseconds: how long a request waits at the most.
    init(before status: UpstreamStatus, milliseconds: Int64, loop: EventLoop) {
        self.status = status
        self.milliseconds = milliseconds
        let handle = Handle(self)
        worker = status.join { Task(executorPreference: loop) { handle.line?.callNext() } }
    }

    /// Returns when the request may go, or why it may not.
    ///
    /// - Parameter deadline: when there is no use in it any more, in the loop's milliseconds.
    func enter(_ client: ClientConnection, until deadline: Int64) async -> UpstreamService.Entrance? {
        switch status.enterLine(from: worker) {
        case nil, .goes?: nil
        case .full?: .overloaded
        case .waits?: await wait(client, until: deadline)
        }
    }

    /// A request has ended that was let go.
    func leave() {
        if status.leaveLine(worker) { callNext() }
    }

    private func wait(_ client: ClientConnection, until deadline: Int64) async -> UpstreamService.Entrance? {
        let (waiter, context) = (client.waiter, client.worker)
        let turn = Turn(waiter)
        turns.append(turn)
        waiter.setDeadline(afterMilliseconds: min(milliseconds, deadline - context.loop.nowMilliseconds))
        while !turn.hasCome {
            let reason: UpstreamService.Entrance? =
                client.stream.isBroken ? .clientGone : context.isDrainOver ? .drainOver : waiter.isDue ? .overloaded : nil
            if let reason {
                turns.removeAll { $0 === turn }
                // Where a turn for one of this worker's is on its way already, whoever is first here takes it.
                _ = status.giveUpLine(worker)
                return reason
            }
            await waiter.park()
        }
        return nil
    }

    /// It is the turn of the first that waits here.
    private func callNext() {
        // Who has given up since passes their turn on.
        guard !turns.isEmpty else { return leave() }
        let turn = turns.removeFirst()
        turn.hasCome = true
        turn.waiter.wake()
    }
}
