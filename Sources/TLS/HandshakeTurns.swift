import EventLoop

/// Lets one step of a handshake through in each turn of a loop, so that its other connections wait for one signature at the most.
///
/// Belongs to one loop. Who is next goes first; who gives up leaves the line.
public final class HandshakeTurns: TurnFlushing {
    private let loop: EventLoop
    private var line: [Waiter] = []
    /// Who of the line may go on, until it does.
    private var called: Waiter?
    private var isTaken = false

    public init(loop: EventLoop) { self.loop = loop }

    /// Parks on `waiter` until it is its turn.
    ///
    /// - Returns: false where `isOver` came first.
    func take(on waiter: Waiter, unless isOver: () -> Bool) async -> Bool {
        if !isTaken {
            isTaken = true
            loop.flushAtEndOfTurn(self)
            return true
        }
        line.append(waiter)
        while called !== waiter {
            await waiter.park()
            if called !== waiter, isOver() {
                line.removeAll { $0 === waiter }
                return false
            }
        }
        called = nil
        return true
    }

    public func flush() {
        // One that was called and hasn't been running since is at the head of the next turn.
        guard called == nil else { return loop.flushAtEndOfTurn(self) }
        guard !line.isEmpty else {
            isTaken = false
            return
        }
        let next = line.removeFirst()
        called = next
        next.wake()
        loop.flushAtEndOfTurn(self)
    }
}
