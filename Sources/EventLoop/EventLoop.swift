import CLinux
import Synchronization

/// Work that is collected during a turn and done once at its end: a batch of frames to one socket, say.
public protocol TurnFlushing: AnyObject {
    func flush()
}

/// One thread, one epoll: the executor of a worker's actor and of every task on it.
///
/// It is both the *serial executor* (so the compiler can prove that what a worker owns stays on its worker) and the *task
/// executor* (so a resumed continuation comes straight back here, not by way of the global pool: 6.7 µs a request against
/// 9.6, measured with a minimal server).
///
/// A turn runs a snapshot of the ready jobs, flushes what they collected, polls, and wakes what became ready. A snapshot,
/// because a task that yields in a loop would otherwise starve sockets and deadlines.
@safe public final class EventLoop: SerialExecutor, TaskExecutor, @unchecked Sendable {
    // Everything without a lock is touched on this loop's own thread only. What is changed is taken out meanwhile: an access that lasts would
    // have every one checked at run time (SE-0176).
    private var ready: [UnownedJob] = []
    private var running: [UnownedJob] = []
    private var toFlush: [any TurnFlushing] = []
    private var flushing: [any TurnFlushing] = []
    private var yielding: [Waiter] = []
    let deadlines = Deadlines()
    let poller: Poller
    /// Milliseconds on the monotonic clock, read once a turn.
    public private(set) var nowMilliseconds: Int64 {
        get { now.load(ordering: .relaxed) }
        set { now.store(newValue, ordering: .relaxed) }
    }
    /// Milliseconds since 1970, read once a turn.
    public private(set) var nowUnixMilliseconds: Int64 {
        get { nowUnix.load(ordering: .relaxed) }
        set { nowUnix.store(newValue, ordering: .relaxed) }
    }
    /// Buffers lent to connections while they have bytes in hand.
    public let buffers = BufferPool()

    // As a ``Flag`` is, for the same reason.
    private let now: Atomic<Int64>
    private let nowUnix: Atomic<Int64>
    private let inbox = Mutex<Inbox>(Inbox())
    /// Who runs the turns; 0 while nobody does. Others read it too, to find out that they don't.
    private let thread = Atomic<pthread_t>(0)
    private var isStopped = false

    private struct Inbox {
        var jobs: [UnownedJob] = []
    }

    public init() throws(SystemError) {
        poller = try Poller()
        now = Atomic(Clock.monotonicNanoseconds() / 1_000_000)
        nowUnix = Atomic(Clock.unixMilliseconds())
    }

    // MARK: The executor

    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        if isOnOwnThread {
            var ready = exchange(&self.ready, with: [])
            ready.append(job)
            self.ready = ready
        } else {
            inbox.withLock { $0.jobs.append(job) }
            poller.interrupt()
        }
    }

    public func asUnownedSerialExecutor() -> UnownedSerialExecutor { unsafe UnownedSerialExecutor(ordinary: self) }
    public func asUnownedTaskExecutor() -> UnownedTaskExecutor { unsafe UnownedTaskExecutor(ordinary: self) }

    var isOnOwnThread: Bool {
        thread.load(ordering: .relaxed) == pthread_self()
    }

    // MARK: The turns

    /// Runs turns on the calling thread until ``stop()``.
    public func run() {
        thread.store(pthread_self(), ordering: .relaxed)
        while !isStopped || !ready.isEmpty { turn() }
        thread.store(0, ordering: .relaxed)
    }

    /// Makes ``run()`` return once no job is ready any more: the tail of the task that calls it still runs. To be called on the loop's own
    /// thread.
    public func stop() { isStopped = true }

    /// Wakes `waiter` once the sockets and deadlines of this turn have had theirs.
    func wakeNextTurn(_ waiter: Waiter) {
        guard !waiter.isYielding else { return }
        waiter.isYielding = true
        var yielding = exchange(&self.yielding, with: [])
        yielding.append(waiter)
        self.yielding = yielding
    }

    /// Has `work` flushed at the end of this turn. Call it once a turn and target.
    public func flushAtEndOfTurn(_ work: any TurnFlushing) {
        var collected = exchange(&toFlush, with: [])
        collected.append(work)
        toFlush = collected
    }

    private func turn() {
        swap(&ready, &running)
        let (serial, task) = unsafe (asUnownedSerialExecutor(), asUnownedTaskExecutor())
        for job in running {
            unsafe job.runSynchronously(isolatedTo: serial, taskExecutor: task)
        }
        running.removeAll(keepingCapacity: true)
        flushCollected()
        let mayWait = !isStopped && ready.isEmpty && yielding.isEmpty
        poller.poll(timeoutMilliseconds: mayWait ? millisecondsToNextDeadline() : 0)
        nowMilliseconds = Clock.monotonicNanoseconds() / 1_000_000
        nowUnixMilliseconds = Clock.unixMilliseconds()
        poller.wakeReady(takeInbox)
        deadlines.sweep(now: nowMilliseconds)
        wakeYielding()
    }

    private func wakeYielding() {
        // Who rests without a task goes on at once, and may yield again: that is for the next turn.
        guard !yielding.isEmpty else { return }
        for waiter in exchange(&yielding, with: []) {
            waiter.isYielding = false
            waiter.wake()
        }
    }

    private func flushCollected() {
        // A flush may collect more (a lost connection denies what was pending): that is for the next turn.
        guard !toFlush.isEmpty else { return }
        swap(&toFlush, &flushing)
        for target in flushing { target.flush() }
        flushing.removeAll(keepingCapacity: true)
    }

    private func millisecondsToNextDeadline() -> Int32 {
        guard deadlines.nextSweep != Deadlines.none else { return toFlush.isEmpty ? -1 : 0 }
        guard toFlush.isEmpty else { return 0 }
        let now = Clock.monotonicNanoseconds() / 1_000_000
        return Int32(clamping: max(deadlines.nextSweep - now, 0))
    }

    private func takeInbox() {
        let jobs = inbox.withLock { inbox in
            let jobs = inbox.jobs
            inbox.jobs.removeAll(keepingCapacity: true)
            return jobs
        }
        var ready = exchange(&self.ready, with: [])
        ready.append(contentsOf: jobs)
        self.ready = ready
    }

    /// Wakes every parked task of this loop, so that each looks at its marks again.
    public func wakeAll() { deadlines.wakeAll() }
}
