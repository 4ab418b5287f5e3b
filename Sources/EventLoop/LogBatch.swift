import Bytes

/// One worker's lines for a log: collected, and handed to the ``LogWriter`` in batches.
public final class LogBatch {
    private static let flushBytes = 16 * 1024
    private static let maximumDelayMilliseconds: Int64 = 50

    private let writer: LogWriter
    private let buffer = ByteBuffer(capacity: 2 * flushBytes)
    private var lineCount = 0
    private let waiter: Waiter
    private var isOver = false

    public init(_ writer: LogWriter, loop: EventLoop) {
        self.writer = writer
        waiter = Waiter(loop: loop)
    }

    /// Appends a line: what `compose` appends, and its end.
    public func appendLine(_ compose: (ByteBuffer) -> Void) {
        if lineCount == 0 { waiter.setDeadline(afterMilliseconds: Self.maximumDelayMilliseconds) }
        compose(buffer)
        buffer.append(UInt8(ascii: "\n"))
        lineCount += 1
        if buffer.count >= Self.flushBytes { flush() }
    }

    private func flush() {
        guard lineCount > 0 else { return }
        let buffer = self.buffer
        writer.write(buffer.bytes, lineCount: lineCount)
        buffer.clear()
        lineCount = 0
        waiter.clearDeadline()
    }

    /// Hands over what has waited long enough, until ``stop()``. A task of the worker.
    public func flushRegularly() async {
        while !isOver {
            while !waiter.isDue, !isOver { await waiter.park() }
            flush()
        }
        flush()
    }

    public func stop() {
        isOver = true
        waiter.wake()
    }
}
