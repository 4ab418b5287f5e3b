import EventLoop
import Logging
import PolicyProtocol

/// Keeps a client's connection to one daemon: connects, and connects again where the connection is lost.
final class DaemonLink {
    /// The connection to ask on; nil while there is none.
    private(set) var connection: PolicyConnection?
    /// Whether the attempt to connect that is under way, or the next one, may come to something. Not so where the last one was refused.
    private(set) var isPromising = true

    private let endpoint: PolicyClient.Endpoint
    private let configuration: PolicyClient.Configuration
    private let loop: EventLoop
    private let logger: Logger
    /// What is told that a connection was made, was lost, or could not be made.
    private unowned let client: PolicyClient
    /// The connections that the daemon wants to end, the latest last.
    private var leaving: [PolicyConnection] = []
    private let leavingWaiter: Waiter
    private var isStopping = false
    private var isRetired = false
    /// Whether no connection is made here any more.
    private var isOver = false

    init(_ endpoint: PolicyClient.Endpoint, _ configuration: PolicyClient.Configuration, of client: PolicyClient, loop: EventLoop, logger: Logger) {
        self.endpoint = endpoint
        self.configuration = configuration
        self.client = client
        self.loop = loop
        self.logger = logger
        leavingWaiter = Waiter(loop: loop)
    }

    /// A connection that is to end, for want of another one.
    var connectionMeanwhile: PolicyConnection? {
        guard let latest = leaving.last, latest.isUsableMeanwhile else { return nil }
        return latest
    }

    /// Ends at once; wake all of the loop's waiters then. What still waits for a verdict is lost.
    func stop() { isStopping = true }

    /// Asks nothing any more, and ends once all that was asked is answered. Wake all of the loop's waiters then.
    func retire() {
        isRetired = true
        connection?.retire()
        retireLeaving()
    }

    private var isEnding: Bool { isStopping || isRetired }

    /// Keeps the connection until ``stop()`` or ``retire()``.
    func maintain() async {
        defer {
            isOver = true
            leavingWaiter.wake()
        }
        let waiter = Waiter(loop: loop)
        let pauses = configuration.reconnectMilliseconds
        var pause = pauses.lowerBound
        var lastComplaint: String?
        var isSaidToAnswer = false
        var leftAt: Int64 = 0
        while !isEnding {
            let complaint: String
            let start = loop.nowMilliseconds
            do {
                let connection = try await PolicyConnection.open(
                    endpoint, configuration, on: Waiter(loop: loop), unless: { self.isEnding })
                retireLeaving()
                self.connection = connection
                if isRetired { connection.retire() }
                note(isPromising: true)
                if !isSaidToAnswer { logger.info("asking \(connection.session.hello.name) on \(endpoint.name)") }
                isSaidToAnswer = true
                let closingWords = await connection.serveUntilLeaving { self.isStopping }
                self.connection = nil
                leftAt = loop.nowMilliseconds
                client.noteLoss()
                if closingWords == nil { hand(connection) }
                complaint = closingWords ?? "the daemon is draining"
            } catch {
                // Who connects and is not greeted may have come while a daemon starts.
                let isGreetingLate = (error as? ProtocolError)?.code == .helloLate
                if !isGreetingLate || loop.nowMilliseconds - leftAt >= configuration.successionMilliseconds { retireLeaving() }
                note(isPromising: isGreetingLate)
                complaint = "\(error)"
            }
            guard !isEnding else { return }
            // A daemon that greets and leaves again at once is no better than one that is not there.
            if loop.nowMilliseconds - start > pauses.upperBound { (pause, lastComplaint) = (pauses.lowerBound, nil) }
            // Said once, not at each try: an outage of an hour is not a thousand lines.
            if complaint != lastComplaint {
                logger.warning("policy socket \(endpoint.name): \(complaint)")
                isSaidToAnswer = false
            }
            lastComplaint = complaint
            await waiter.sleep(milliseconds: Int64.random(in: pause / 2...pause), unless: { self.isEnding })
            pause = min(pause * 2, pauses.upperBound)
        }
    }

    /// Serves the connections that the daemon wants to end, until ``stop()`` or ``retire()``. One is still asked, for want of
    /// another, until ``maintain()`` has connected again or failed to: so a daemon that makes its clients come anew, or
    /// another that takes its place, is asked without a gap.
    func serveLeaving() async {
        while !isStopping {
            guard let connection = leaving.first else {
                if isOver { return }
                await leavingWaiter.park()
                continue
            }
            await connection.serveToTheEnd { self.isStopping }
            leaving.removeFirst()
            if !connection.isRetired { client.noteLoss() }
        }
    }

    private func note(isPromising: Bool) {
        self.isPromising = isPromising
        client.noteAttempt()
    }

    private func hand(_ connection: PolicyConnection) {
        retireLeaving()
        leaving.append(connection)
        leavingWaiter.wake()
    }

    private func retireLeaving() {
        guard !leaving.isEmpty else { return }
        client.noteLoss()
        for connection in leaving { connection.retire() }
    }
}
