/// What a task waits with: one parked continuation, and any number of things that may wake it.
///
/// A connection waits for several things at once: bytes, a verdict, its deadline, the peer's leaving, a drain. Each of
/// them leaves a sticky mark where it happened (a socket's flags, ``isDue``, the worker's drain flag) and calls ``wake()``;
/// the task looks at the marks and parks again while none of them is the one it waits for. As all of it happens on one
/// loop, no wake-up can be lost between the look and the parking.
@safe public final class Waiter {
    public let loop: EventLoop
    private var continuation: UnsafeContinuation<Void, Never>?
    private var resting: (any Resting)?
    /// Whether the loop will wake it next turn, once, however often it asks for that.
    var isYielding = false
    private let deadlines: Deadlines
    let slot: Int

    public init(loop: EventLoop) {
        self.loop = loop
        deadlines = loop.deadlines
        slot = deadlines.claim()
        deadlines.attach(self, at: slot)
    }

    deinit { deadlines.release(slot) }

    /// Suspends until the next ``wake()``. Look at what you wait for in a `while`, never in an `if`.
    ///
    /// The task must prefer this loop as its executor (`executorPreference:`): without, it would park from another thread.
    ///
    /// Always inlined: with a frame of its own, each wait would take some hundred instructions more.
    @inlinable @inline(__always)
    public func park() async { await unsafe withUnsafeContinuation { unsafe hold($0) } }

    @usableFromInline func hold(_ continuation: UnsafeContinuation<Void, Never>) {
        assert(loop.isOnOwnThread, "a task that parks must run on its waiter's loop")
        unsafe self.continuation = continuation
    }

    /// Lets the parked task look at its marks again. Harmless where nothing is parked.
    public func wake() {
        guard let parked = unsafe continuation else { return rouse() }
        unsafe continuation = nil
        unsafe parked.resume()
    }

    /// Waits without a task: the next ``wake()`` calls `owner`, once. Until then the waiter keeps it alive. One that came before is
    /// forgotten: look at all marks before.
    public func rest(_ owner: any Resting) { resting = owner }

    /// As ``rest(_:)``, for no longer than the other ready tasks and the sockets have their turn.
    public func restForTurn(_ owner: any Resting) {
        rest(owner)
        loop.wakeNextTurn(self)
    }

    private func rouse() {
        guard let owner = resting else { return }
        resting = nil
        owner.roused()
    }

    /// Goes to the end of the line: the other ready tasks and the sockets have their turn first.
    ///
    /// By way of the loop, since a continuation that is resumed before its task has suspended does not suspend it at all.
    public func yieldTurn() async {
        loop.wakeNextTurn(self)
        await park()
    }

    // MARK: The deadline

    /// Sets the one deadline this task has: ``isDue`` and a wake-up `milliseconds` from now. Replaces the one before.
    public func setDeadline(afterMilliseconds milliseconds: Int64) {
        deadlines.set(slot, at: loop.nowMilliseconds &+ milliseconds)
    }

    public func clearDeadline() { deadlines.set(slot, at: Deadlines.none) }

    /// Whether the deadline has passed.
    public var isDue: Bool { deadlines[slot] <= loop.nowMilliseconds }

    /// Parks until the deadline set here has passed, whatever else wakes it: a pause between two tries.
    public func sleep(milliseconds: Int64, unless isOver: () -> Bool = { false }) async {
        setDeadline(afterMilliseconds: milliseconds)
        while !isDue, !isOver() { await park() }
        clearDeadline()
    }
}

/// What can wait without a task, which costs some kilobytes: an idle connection, say. See ``Waiter/rest(_:)``.
public protocol Resting: AnyObject {
    /// Something has happened. Called on the loop, in the middle of its turn, and from within whatever calls ``Waiter/wake()``: look at
    /// the marks, do what is short, hand over the rest, or rest again.
    func roused()
}
