import EventLoop
import HTTP2
import Logging
import PolicyClient
import TLS
import Telemetry

/// What one worker keeps from one configuration to the next: touched on its loop only.
final class WorkerState {
    let loop: EventLoop
    let logger: Logger
    let policy: PolicyClient
    let logLines: LogBatch
    let date: HTTPDate
    let policyOutage: RepeatedWarning
    /// Of trusted proxies whose connections don't begin with a PROXY header.
    let proxyHeaderWarning: RepeatedWarning
    let random = RandomNumbers()
    /// What heads of responses are noted in for clients of HTTP/2, or read into, of which nothing is kept once they are sent.
    var writtenHead = WrittenHead()
    let handshakes: HandshakeTurns
    let tasks: ServingTasks
    /// What wakes a connection of HTTP/2 goes to the tasks through this.
    let pace: StreamPace<Work>
    /// HTTP/2 connections to upstreams, each for a task to move its bytes.
    let newSessions: SessionQueue
    let idle: IdleConnections<HTTP2Connection>
    /// What sessions of HTTP/2 have let go of.
    let blocks = SpareBlocks()
    /// Of all workers.
    private let connections: SharedCount
    /// Of this one.
    private var connectionCount = 0
    private let idleWaiter: Waiter
    private var nextSweepMilliseconds: Int64 = 0
    /// This worker's part of what is counted; nil where nothing has been yet.
    private(set) var workerMetrics: WorkerMetrics?
    private var readiness: ProxyReadiness?
    private var canAsk = false
    /// What requests are begun under.
    private(set) var latest: WorkerContext?

    /// No new request is begun; what is in flight is finished.
    private(set) var isDraining = false
    /// When what is still in flight is cut off, in the loop's milliseconds.
    private(set) var drainDeadline = Int64.max
    /// When connections without a request are closed.
    private(set) var drainIdleDeadline = Int64.max
    /// Everything is served: the background tasks end.
    private(set) var isOver = false

    private static let sweepMilliseconds: Int64 = 1000
    /// While there is no daemon to ask, and somebody wants to know when there is.
    private static let unreadySweepMilliseconds: Int64 = 50

    init(_ setup: ProxySetup, loop: EventLoop) {
        self.loop = loop
        newSessions = SessionQueue(loop: loop)
        logger = setup.logger
        policy = PolicyClient(setup.policyEndpoints, configuration: setup.policyClient, loop: loop, logger: setup.logger)
        logLines = LogBatch(setup.logWriter, loop: loop)
        date = HTTPDate(loop: loop)
        policyOutage = RepeatedWarning("answered 503", loop: loop, logger: setup.logger)
        proxyHeaderWarning = RepeatedWarning("closed a connection", loop: loop, logger: setup.logger)
        handshakes = HandshakeTurns(loop: loop)
        idle = IdleConnections(loop: loop)
        let tasks = ServingTasks(loop: loop)
        self.tasks = tasks
        pace = StreamPace(loop: loop, whenBusy: { tasks.isBusy }, begin: { tasks.submit($0) })
        idleWaiter = Waiter(loop: loop)
        connections = setup.connections
    }

    /// Begins requests under `setup` from now on. What is in flight is finished under what it was begun with.
    func adopt(_ setup: ProxySetup) {
        let former = latest
        if let former, setup.asksOtherwise(than: former.setup) { policy.ask(setup.policyEndpoints, configuration: setup.policyClient) }
        latest = WorkerContext(setup, self)
        former?.retire()
        if let observation = setup.observation { show(by: observation) }
    }

    private func show(by observation: ProxyObservation) {
        if workerMetrics == nil {
            workerMetrics = observation.registry.makeWorkerMetrics()
            readiness = observation.readiness
            noteReadiness()
        }
        showConnections()
    }

    func connectionBegan() {
        connectionCount += 1
        connections.add()
        showConnections()
    }

    func connectionEnded() {
        connectionCount -= 1
        if isDraining, connectionCount == 0 { idleWaiter.wake() }
        connections.remove()
        showConnections()
    }

    private func showConnections() {
        if let metrics = latest?.metrics, let workerMetrics { workerMetrics.set(metrics.connections, to: connectionCount) }
    }

    func sweepRegularly() async {
        let waiter = Waiter(loop: loop)
        while !isOver {
            let isAwaited = readiness != nil && !canAsk
            await waiter.sleep(
                milliseconds: isAwaited ? Self.unreadySweepMilliseconds : Self.sweepMilliseconds, unless: { self.isOver })
            noteReadiness()
            keepHouse()
            if isDraining, loop.nowMilliseconds >= drainDeadline { loop.wakeAll() }
        }
    }

    /// Once a second, however often it is called.
    private func keepHouse() {
        guard loop.nowMilliseconds >= nextSweepMilliseconds else { return }
        nextSweepMilliseconds = loop.nowMilliseconds + Self.sweepMilliseconds
        latest?.sweep()
        tasks.trim()
        idle.sweep()
        blocks.trim()
    }

    func beginDrain(_ timeouts: ProxyConfiguration.Timeouts) {
        drainDeadline = loop.nowMilliseconds + timeouts.drain
        drainIdleDeadline = loop.nowMilliseconds + min(timeouts.drainIdle, timeouts.drain)
        isDraining = true
        loop.wakeAll()
    }

    /// Waits until no connection is left: in a drain those without a request have their time, and the others that of what is in flight.
    func awaitLastConnection() async {
        idleWaiter.setDeadline(afterMilliseconds: drainIdleDeadline - loop.nowMilliseconds)
        while connectionCount > 0, !isDrainIdleOver { await idleWaiter.park() }
        idleWaiter.clearDeadline()
        // Those that rest look at the time.
        loop.wakeAll()
        while connectionCount > 0 { await idleWaiter.park() }
    }

    /// Whether a drain has lasted as long as a connection without a request may wait for one.
    var isDrainIdleOver: Bool { isDraining && loop.nowMilliseconds >= drainIdleDeadline }

    /// Tells whether this worker has a daemon to ask.
    func noteReadiness() {
        guard let readiness, (policy.usableConnection() != nil) != canAsk else { return }
        canAsk.toggle()
        readiness.note(canAsk: canAsk)
    }

    /// Ends the background tasks: every exchange is done.
    func end() {
        isOver = true
        policy.stop()
        logLines.stop()
        latest?.retire()
        latest = nil
        loop.wakeAll()
    }
}
