import JSONWebToken

/// Splits what comes in into tokens, one a line: LF or CRLF ends a line, and so does the end of the input. Empty lines are no tokens.
///
/// Keeps at most one line, and of one that is longer than any token only as much as shows that it is.
struct TokenLines {
    private var line: [UInt8] = []
    /// A token, the CR of a CRLF, and one more byte.
    private static let maximumKeptBytes = TokenVerifier.maximumTokenBytes + 2

    /// Takes the next bytes in, and hands each token that ends within them to `body`.
    mutating func append(_ bytes: [UInt8], _ body: ([UInt8]) throws -> Void) rethrows {
        for piece in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            if piece.offset > 0 { try end(isTerminated: true, body) }
            line += piece.element.prefix(Self.maximumKeptBytes - line.count)
        }
    }

    /// The last line need not be ended.
    mutating func finish(_ body: ([UInt8]) throws -> Void) rethrows { try end(isTerminated: false, body) }

    private mutating func end(isTerminated: Bool, _ body: ([UInt8]) throws -> Void) rethrows {
        // What was cut off has no CR at its end: no token of the permitted length may come of it.
        if isTerminated, line.last == UInt8(ascii: "\r"), line.count < Self.maximumKeptBytes { line.removeLast() }
        defer { line.removeAll(keepingCapacity: true) }
        if !line.isEmpty { try body(line) }
    }
}
