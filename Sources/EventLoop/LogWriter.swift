import Bytes
import CLinux
import Synchronization

/// Writes log lines to a descriptor or a file from a thread of its own, so that a slow reader of the log never blocks a worker.
///
/// What waits to be written is bounded: beyond that lines are dropped, and how many is written once there is room. So are lines
/// that could not be written.
public final class LogWriter: Sendable {
    /// How many bytes may wait.
    static let maximumWaitingBytes = 8 * 1024 * 1024

    private struct State {
        var waiting: [UInt8] = []
        var waitingLines = 0
        var droppedLines = 0
        var isClosed = false
        /// Of the file; nil for a descriptor that the process was started with.
        var path: String?
        /// The file, opened again, or another one; what ``run()`` writes to from its next turn on.
        var reopened: Int32?
    }

    private let state: Mutex<State>
    private let wakeUp: Int32
    /// What ``run()`` begins with.
    private let descriptor: Int32
    private let isFile: Bool
    private let dropped = Atomic(0)

    private let lineAboutDropped: @Sendable (Int) -> [UInt8]

    /// - Parameters:
    ///   - descriptor: where the lines go; standard output, as a rule.
    ///   - lineAboutDropped: the whole line that tells how many lines were dropped.
    public convenience init(
        descriptor: Int32, lineAboutDropped: @escaping @Sendable (Int) -> [UInt8]
    ) throws(SystemError) {
        try self.init(descriptor, path: nil, lineAboutDropped)
    }

    /// - Parameters:
    ///   - path: of the file that the lines are appended to; it is made where it is missing.
    ///   - lineAboutDropped: the whole line that tells how many lines were dropped.
    public convenience init(path: String, lineAboutDropped: @escaping @Sendable (Int) -> [UInt8]) throws(SystemError) {
        try self.init(Self.open(path), path: path, lineAboutDropped)
    }

    private init(
        _ descriptor: Int32, path: String?, _ lineAboutDropped: @escaping @Sendable (Int) -> [UInt8]
    ) throws(SystemError) {
        self.descriptor = descriptor
        isFile = path != nil
        state = Mutex(State(path: path))
        self.lineAboutDropped = lineAboutDropped
        wakeUp = linux_blocking_eventfd()
        guard wakeUp >= 0 else { throw SystemError("eventfd", code: -wakeUp) }
    }

    deinit {
        close(wakeUp)
        if let reopened = state.withLock({ $0.reopened }) { close(reopened) }
    }

    private static func open(_ path: String) throws(SystemError) -> Int32 {
        try unsafe SystemError.check(linux_open_log(path), "open \(path)")
    }

    /// How many lines were dropped so far.
    public var droppedLineCount: Int { dropped.load(ordering: .relaxed) }

    /// Hands over whole lines. Never waits for the descriptor.
    public func write(_ lines: Span<UInt8>, lineCount: Int) {
        let isFirst = state.withLock { state in
            let isFirst = state.waiting.isEmpty
            if state.waiting.count + lines.count > Self.maximumWaitingBytes {
                state.droppedLines += lineCount
                dropped.add(lineCount, ordering: .relaxed)
            } else {
                unsafe lines.withUnsafeBufferPointer { unsafe state.waiting.append(contentsOf: $0) }
                state.waitingLines += lineCount
            }
            return isFirst
        }
        if isFirst { linux_eventfd_signal(wakeUp) }
    }

    /// Opens the file again, since another one is to be written from now on: the old one was renamed. Without effect on a
    /// descriptor.
    ///
    /// - Throws: where it can't be opened; the old one is then written on.
    public func reopen() throws(SystemError) {
        guard let path = state.withLock({ $0.path }) else { return }
        try move(to: path)
    }

    /// Has what comes from now on written to the file at `path`; nil for standard output.
    ///
    /// - Throws: where it can't be opened; what was written to before is then written on.
    public func move(to path: String?) throws(SystemError) {
        let descriptor: Int32
        if let path { descriptor = try Self.open(path) } else { descriptor = try SystemError.check(linux_duplicate(1, 0), "duplicate standard output") }
        let superseded = state.withLock { state in
            defer { (state.path, state.reopened) = (path, descriptor) }
            return state.reopened
        }
        if let superseded { close(superseded) }
        linux_eventfd_signal(wakeUp)
    }

    /// Writes until ``finish()``, then what is left. The body of the log's thread.
    public func run() {
        var descriptor = descriptor
        var isOurs = isFile
        var untoldLines = 0
        while true {
            linux_eventfd_clear(wakeUp)
            let turn = state.withLock { state in
                let turn = state
                state = State(isClosed: turn.isClosed, path: turn.path)
                return turn
            }
            if let reopened = turn.reopened {
                if isOurs { close(descriptor) }
                (descriptor, isOurs) = (reopened, true)
            }
            untoldLines += turn.droppedLines
            if !writeAll(turn.waiting, to: descriptor) {
                untoldLines += turn.waitingLines
                dropped.add(turn.waitingLines, ordering: .relaxed)
            }
            if untoldLines > 0, writeAll(lineAboutDropped(untoldLines), to: descriptor) { untoldLines = 0 }
            if turn.isClosed { break }
        }
        if isOurs { close(descriptor) }
    }

    /// Makes ``run()`` return once everything is written.
    public func finish() {
        state.withLock { $0.isClosed = true }
        linux_eventfd_signal(wakeUp)
    }

    private func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        var written = 0
        while written < bytes.count {
            let result = unsafe bytes.withUnsafeBytes {
                unsafe linux_write(descriptor, $0.baseAddress! + written, bytes.count - written)
            }
            if result > 0 { written += result } else if result != -Int(EINTR) { return false }
        }
        return true
    }
}
