import Bytes

/// Finds the end of a head, a line at a time, and remembers how far it has looked: a client that sends a byte at a time costs
/// no more than one that sends all at once.
///
/// It judges what must not wait for the end of the head: line ends (RFC 9112 §2.2) and sizes.
public struct HeadScanner: Sendable {
    private var offset = 0
    private var lineStart = 0
    private var size = HeadSize()
    /// Up to where every CR is known to have its LF.
    private var judgedLineEnds = 0

    public init() {}

    /// A scanner for a trailer section: field lines without a request line in front (RFC 9112 §7.1.2).
    static var forTrailers: HeadScanner {
        var scanner = HeadScanner()
        scanner.size.lineCount = 1
        return scanner
    }

    /// - Parameter bytes: everything received of this message, from its first byte; the same bytes as before and perhaps more.
    /// - Returns: how many bytes the head takes, its empty line included; nil while its end is not there.
    /// - Throws: 400 for a line end that is not CRLF, 414 and 431 for a head over the limits.
    public mutating func findEnd(in bytes: Span<UInt8>, limits: HeadLimits) throws(MessageRefusal) -> Int? {
        while let lineFeed = bytes.firstIndex(of: 0x0A, from: offset) {
            guard lineFeed > lineStart, bytes[lineFeed &- 1] == 0x0D else {
                throw MessageRefusal("A line ends with a bare LF; lines end with CRLF.")
            }
            let isEmptyLine = lineFeed &- lineStart == 1
            try size.endLine(at: lineFeed, limits)
            offset = lineFeed &+ 1
            lineStart = offset
            if isEmptyLine { return offset }
        }
        offset = bytes.count
        try judgeLineEnds(in: bytes)
        // The last byte may be the CR of the empty line, which is none of the fields.
        try size.judge(bytes.count &- 1, limits)
        return nil
    }

    /// Refuses a CR without its LF. A head that is complete is read to the same end; one that is not might never have an LF, and
    /// would be waited for.
    private mutating func judgeLineEnds(in bytes: Span<UInt8>) throws(MessageRefusal) {
        while let carriageReturn = bytes.firstIndex(of: 0x0D, from: judgedLineEnds), carriageReturn &+ 1 < bytes.count {
            guard bytes[carriageReturn &+ 1] == 0x0A else { throw MessageRefusal("There is a CR without its LF.") }
            judgedLineEnds = carriageReturn &+ 2
        }
        judgedLineEnds = max(judgedLineEnds, bytes.count &- 1)
    }
}

/// What a head takes of its limits, a line at a time.
struct HeadSize: Sendable {
    private var requestLineEnd = 0
    var lineCount = 0

    @inline(__always)
    mutating func endLine(at lineFeed: Int, _ limits: HeadLimits) throws(MessageRefusal) {
        try judge(lineFeed &- 1, limits)
        lineCount &+= 1
        if lineCount == 1 { requestLineEnd = lineFeed &+ 1 }
        // The request line and the empty line are no fields.
        guard lineCount <= limits.headerCount &+ 2 else {
            throw MessageRefusal(431, "There are more than \(limits.headerCount) header fields.")
        }
    }

    /// - Parameter end: where the line that is under way ends, its CRLF not counted, or has got to.
    @inline(__always)
    func judge(_ end: Int, _ limits: HeadLimits) throws(MessageRefusal) {
        if lineCount == 0 {
            guard end <= limits.requestLineBytes else {
                throw MessageRefusal(414, "The request line is longer than \(limits.requestLineBytes) bytes.")
            }
        } else if end &- requestLineEnd > limits.headerBytes {
            throw MessageRefusal(431, "The header fields are longer than \(limits.headerBytes) bytes.")
        }
    }
}
