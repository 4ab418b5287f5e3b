import EventLoop
import Logging
import PolicyClient

/// What one worker keeps from one configuration to the next: touched on its loop only.
final class WorkerState {
    let loop: EventLoop
    let logger: Logger
    let policy: PolicyClient
    let logLines: LogBatch
    let date: HTTPDate
    let policyOutage: PolicyOutage
    let random = RandomNumbers()
    /// What requests are begun under.
    private(set) var latest: WorkerContext?

    /// No new request is begun; what is in flight is finished.
    var isDraining = false
    /// When what is still in flight is cut off, in the loop's milliseconds.
    var drainDeadline = Int64.max
    /// Everything is served: the background tasks end.
    private(set) var isOver = false

    private static let sweepMilliseconds: Int64 = 1000

    init(_ setup: ProxySetup, loop: EventLoop) {
        self.loop = loop
        logger = setup.logger
        var configuration = PolicyClient.Configuration(name: "gatehouse-proxy")
        configuration.deadlineMilliseconds = setup.configuration.policyDeadlineMilliseconds
        policy = PolicyClient(setup.policyEndpoints, configuration: configuration, loop: loop, logger: setup.logger)
        logLines = LogBatch(setup.logWriter, loop: loop)
        date = HTTPDate(loop: loop)
        policyOutage = PolicyOutage(loop: loop, logger: setup.logger)
    }

    /// Begins requests under `setup` from now on. What is in flight is finished under what it was begun with.
    func adopt(_ setup: ProxySetup) {
        let former = latest
        latest = WorkerContext(setup, self)
        former?.retire()
    }

    func sweepRegularly() async {
        let waiter = Waiter(loop: loop)
        while !isOver {
            await waiter.sleep(milliseconds: Self.sweepMilliseconds, unless: { self.isOver })
            latest?.sweep()
            if isDraining, loop.nowMilliseconds >= drainDeadline { loop.wakeAll() }
        }
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
