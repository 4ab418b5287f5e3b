import Bytes
import HTTPMessage

/// Consecutive lines that go on, copied as one. Where a line is left out, those before it are to be flushed: what lies between would go with them.
struct KeptLines {
    private var run: Range<Int>?

    /// - Returns: where the first of the lines begins that are copied together with it.
    @discardableResult
    mutating func keep(_ line: ByteRange) -> Int {
        let start = run?.lowerBound ?? line.start
        precondition(run == nil || run?.upperBound == line.start, "a line was left out without a flush")
        run = start..<line.end
        return start
    }

    mutating func flush(_ bytes: Span<UInt8>, to output: ByteBuffer) {
        guard let run else { return }
        output.append(bytes.extracting(run))
        self.run = nil
    }
}
