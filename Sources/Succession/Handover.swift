import EventLoop
import Logging
import Synchronization

/// Hands the place of this process over to a newer one of the same program: starts it with the listening sockets, and makes way
/// once it is ready. One that doesn't come so far is ended, and this process serves on: it has accepted nothing yet.
public final class Handover: Sendable {
    /// How a newer process is started, with what it is passed.
    public typealias Start = @Sendable ([PassedDescriptor]) throws(SystemError) -> StartedProcess

    private enum State: Sendable {
        case idle
        case waiting(Successor)
        case ready(Successor)
    }

    /// How long a successor may take until it could accept.
    public static let readyMilliseconds: Int64 = 30_000

    private let state = Mutex(State.idle)
    private let thread = Mutex<SystemThread?>(nil)
    private let readyMilliseconds: Int64
    private let start: Start
    private let logger: Logger

    init(readyMilliseconds: Int64, start: @escaping Start, logger: Logger) {
        self.readyMilliseconds = readyMilliseconds
        self.start = start
        self.logger = logger
    }

    /// To be made at the start of the process (``EventLoop/StartedProcess/programPath``). A newer one is started from the same path, with the
    /// same arguments and environment. Beside the standard descriptors it has those that it is passed, and no others.
    public convenience init(logger: Logger) {
        let path = StartedProcess.programPath
        self.init(
            readyMilliseconds: Self.readyMilliseconds,
            start: { descriptors throws(SystemError) in
                try StartedProcess.start(path, CommandLine.arguments, passing: descriptors)
            }, logger: logger)
    }

    /// What SIGUSR2 asks for: starts a successor, or makes way for one that is ready; that raises the signal as well.
    ///
    /// - Returns: whether the sockets are the successor's now: it accepts, and is who the service manager follows.
    public func advance(_ sockets: ListeningSockets) -> Bool {
        switch state.withLock({ $0 }) {
        case .idle: begin(passing: sockets.toPass)
        case .waiting: logger.warning("a new process is being started already")
        case .ready(let successor): return complete(successor, sockets)
        }
        return false
    }

    /// Waits for the successor on a thread of its own.
    private func begin(passing descriptors: [PassedDescriptor]) {
        joinThread()
        do throws(SystemError) {
            // Its end would be that of all processes in its namespace (pid_namespaces(7)), the new one among them.
            guard !StartedProcess.isFirst else { throw SystemError("process 1 can't be followed by another", code: SystemError.notPermitted) }
            let (ours, theirs) = try ProcessChannel.pair()
            let successor = Successor(process: try start(descriptors + [theirs.toPass]), channel: ours)
            state.withLock { $0 = .waiting(successor) }
            logger.notice("handing over: process \(successor.process.number) starts, and is to be ready in \(readyMilliseconds) ms")
            let waiting = try SystemThread(name: "handover") { self.await(successor) }
            thread.withLock { $0 = waiting }
        } catch {
            abandon()
            complain("\(error)")
        }
    }

    private func await(_ successor: Successor) {
        let failure = successor.awaitReadiness(milliseconds: readyMilliseconds)
        let isAbandoned = state.withLock { state in
            guard case .waiting = state else { return true }
            state = failure == nil ? .ready(successor) : .idle
            return false
        }
        guard !isAbandoned else { return }
        guard let failure else { return Signals.raise(Signals.user2) }
        successor.process.kill()
        complain("process \(successor.process.number): \(failure)")
    }

    /// That of an attempt is at its end, or about to come there.
    private func joinThread() {
        thread.withLock { thread in
            defer { thread = nil }
            return thread
        }?.join()
    }

    private func complain(_ why: String) { logger.error("not handed over, this process serves on: \(why)") }

    private func complete(_ successor: Successor, _ sockets: ListeningSockets) -> Bool {
        guard successor.channel.send() else {
            abandon()
            complain("process \(successor.process.number) was ready, and is gone")
            return false
        }
        sockets.handOver()
        ServiceManager.notifyMainProcess(successor.process.number)
        logger.notice("handed over to process \(successor.process.number)")
        return true
    }

    /// Ends a successor that was started: this process stops, and the service with it.
    public func abandon() {
        let former = state.withLock { state in
            defer { state = .idle }
            return state
        }
        switch former {
        case .idle: return
        case .waiting(let successor), .ready(let successor): successor.process.kill()
        }
    }
}

/// A newer process that is to take this one's place.
private struct Successor: Sendable {
    let process: StartedProcess
    let channel: ProcessChannel

    /// How long one that has closed the connection may take to say why, and end.
    private static let endingMilliseconds: Int32 = 2000

    /// Waits until it could accept. Blocks.
    ///
    /// - Returns: nil, or why it can't.
    func awaitReadiness(milliseconds: Int64) -> String? {
        switch channel.receive(from: process, milliseconds: milliseconds) {
        case .word: nil
        case .late: "it was not ready in \(milliseconds) ms"
        case .ended: process.awaitEnding(milliseconds: Self.endingMilliseconds) ? "it ended" : "it knows nothing of a handover"
        }
    }
}
