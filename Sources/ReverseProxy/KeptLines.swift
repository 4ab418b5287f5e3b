import Bytes
import HTTPMessage

/// Consecutive lines that go on, copied as one.
struct KeptLines {
    private var run: Range<Int>?

    /// - Returns: where the first of the lines begins that are copied together with it.
    @discardableResult
    mutating func keep(_ line: ByteRange) -> Int {
        let start = run?.lowerBound ?? line.start
        run = start..<line.end
        return start
    }

    mutating func flush(_ bytes: Span<UInt8>, to output: ByteBuffer) {
        guard let run else { return }
        output.append(bytes.extracting(run))
        self.run = nil
    }
}

extension ByteBuffer {
    func append(contentLength: Int) {
        append("Content-Length: ")
        append(decimal: contentLength)
        append("\r\n")
    }
}
