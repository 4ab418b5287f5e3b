import Bytes
import CLinux
import Synchronization

/// Writes log lines to a descriptor from a thread of its own, so that a slow reader of the log never blocks a worker.
///
/// What waits to be written is bounded: beyond that lines are dropped, and how many is written once there is room.
public final class LogWriter: Sendable {
    /// How many bytes may wait.
    static let maximumWaitingBytes = 8 * 1024 * 1024

    private struct State {
        var waiting: [UInt8] = []
        var droppedLines = 0
        var isClosed = false
    }

    private let state = Mutex(State())
    private let wakeUp: Int32
    private let descriptor: Int32

    private let lineAboutDropped: @Sendable (Int) -> [UInt8]

    /// - Parameters:
    ///   - descriptor: where the lines go; standard output, as a rule.
    ///   - lineAboutDropped: the whole line that tells how many lines were dropped.
    public init(descriptor: Int32, lineAboutDropped: @escaping @Sendable (Int) -> [UInt8]) throws(SystemError) {
        self.descriptor = descriptor
        self.lineAboutDropped = lineAboutDropped
        wakeUp = linux_blocking_eventfd()
        guard wakeUp >= 0 else { throw SystemError("eventfd", code: -wakeUp) }
    }

    deinit { close(wakeUp) }

    /// Hands over whole lines. Never waits for the descriptor.
    public func write(_ lines: Span<UInt8>, lineCount: Int) {
        let isFirst = state.withLock { state in
            let isFirst = state.waiting.isEmpty
            if state.waiting.count + lines.count > Self.maximumWaitingBytes {
                state.droppedLines += lineCount
            } else {
                unsafe lines.withUnsafeBufferPointer { unsafe state.waiting.append(contentsOf: $0) }
            }
            return isFirst
        }
        if isFirst { linux_eventfd_signal(wakeUp) }
    }

    /// Writes until ``finish()``, then what is left. The body of the log's thread.
    public func run() {
        while true {
            linux_eventfd_clear(wakeUp)
            let (bytes, dropped, isClosed) = state.withLock { state in
                let taken = (state.waiting, state.droppedLines, state.isClosed)
                state.waiting = []
                state.droppedLines = 0
                return taken
            }
            writeAll(bytes)
            if dropped > 0 { writeAll(lineAboutDropped(dropped)) }
            if isClosed { return }
        }
    }

    /// Makes ``run()`` return once everything is written.
    public func finish() {
        state.withLock { $0.isClosed = true }
        linux_eventfd_signal(wakeUp)
    }

    private func writeAll(_ bytes: [UInt8]) {
        var written = 0
        while written < bytes.count {
            let result = unsafe bytes.withUnsafeBytes {
                unsafe linux_write(descriptor, $0.baseAddress! + written, bytes.count - written)
            }
            if result > 0 { written += result } else if result != -Int(EINTR) { return }
        }
    }
}
