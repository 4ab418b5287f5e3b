import Bytes

/// A request's target in its one normal form: what the policy sees is what is routed and forwarded.
public struct RequestTarget: Sendable, Equatable {
    /// Path and query, or `*`; in the bytes of the buffer that ``normalize`` was given.
    public let range: ByteRange
    /// The path alone: the beginning of ``range``.
    public let pathByteCount: Int
    /// Whether the path has a `%2F`. It must be refused, unless its route lets such segments through.
    public let hasEncodedSlash: Bool

    /// Of a request whose target has not been judged.
    public static let none = RequestTarget(range: .empty, pathByteCount: 0, hasEncodedSlash: false)

    public var path: ByteRange { ByteRange(range.start..<range.start + pathByteCount) }

    /// The query without its question mark; nil where there is none.
    public var query: ByteRange? { path.end < range.end ? ByteRange(path.end + 1..<range.end) : nil }

    /// Judges the target of `head`, as ``normalize(_:method:host:in:)`` does.
    ///
    /// - Parameter buffer: the bytes that `head` was parsed from, at their place.
    public static func normalize(_ head: RequestHead, in buffer: ByteBuffer) throws(MessageRefusal) -> RequestTarget {
        try normalize(head.target, method: head.method, host: head.host, in: buffer)
    }

    /// Judges a target, and decodes escapes of unreserved characters in the path (RFC 3986 §6.2.2.2) in place.
    ///
    /// Accepted are a path with or without a query; the absolute form where its authority is `Host` (RFC 9112 §3.2.2); `*` with
    /// OPTIONS. The query is left as it is.
    ///
    /// - Parameters:
    ///   - range: where the target stands in `buffer`: at least one byte, with no blank and no control character.
    ///   - host: where the value of `Host` stands in `buffer`.
    /// - Throws: 400, or 405 for CONNECT.
    public static func normalize(
        _ range: ByteRange, method: Method, host: ByteRange, in buffer: ByteBuffer
    ) throws(MessageRefusal) -> RequestTarget {
        guard method != .connect else { throw MessageRefusal(405, "CONNECT is not supported.") }
        let bytes = buffer.bytes
        let target = range.bytes(in: bytes)
        if target.equals("*") {
            guard method == .options else { throw MessageRefusal("The target * goes with OPTIONS only.") }
            return RequestTarget(range: range, pathByteCount: 1, hasEncodedSlash: false)
        }
        guard target[0] != UInt8(ascii: "/") else { return try normalizePath(from: range.start, to: range.end, in: buffer) }
        let start = range.start + (try authorityEnd(target, host: host.bytes(in: bytes)))
        guard start < range.end, buffer[start] == UInt8(ascii: "/") else {
            return try rootedTarget(from: start, to: range.end, in: buffer)
        }
        return try normalizePath(from: start, to: range.end, in: buffer)
    }

    /// Where the authority of an absolute form ends.
    private static func authorityEnd(_ target: Span<UInt8>, host: Span<UInt8>) throws(MessageRefusal) -> Int {
        guard target.count > 7, target.extracting(0..<7).equalsIgnoringCase("http://") else {
            throw MessageRefusal("The request target is neither a path nor an http URL.")
        }
        var end = 7
        while end < target.count, target[end] != UInt8(ascii: "/"), target[end] != UInt8(ascii: "?") { end &+= 1 }
        guard end > 7, target.extracting(7..<end).equalsIgnoringCase(host) else {
            throw MessageRefusal("The request target names another host than the Host field.")
        }
        return end
    }

    /// An absolute form without a path, `http://host` or `http://host?query`: its path is `/` (RFC 9110 §4.2.3).
    private static func rootedTarget(from start: Int, to end: Int, in buffer: ByteBuffer) throws(MessageRefusal) -> RequestTarget {
        // The byte before is the authority's last, which nobody needs any more.
        buffer[start - 1] = UInt8(ascii: "/")
        return try normalizePath(from: start - 1, to: end, in: buffer)
    }

    private static func normalizePath(from start: Int, to end: Int, in buffer: ByteBuffer) throws(MessageRefusal) -> RequestTarget {
        if let pathByteCount = NormalPath.byteCount(of: buffer.bytes.extracting(start..<end)) {
            try judgeQuery(buffer.bytes.extracting(start + pathByteCount..<end))
            return RequestTarget(range: ByteRange(start..<end), pathByteCount: pathByteCount, hasEncodedSlash: false)
        }
        var normalizer = PathNormalizer()
        let pathEnd = try normalizer.run(from: start, to: end, in: buffer)
        let queryStart = normalizer.queryStart
        var targetEnd = pathEnd
        if queryStart < end {
            try judgeQuery(buffer.bytes.extracting(queryStart..<end))
            if pathEnd == queryStart {
                targetEnd = end
            } else {
                for index in queryStart..<end {
                    buffer[targetEnd] = buffer[index]
                    targetEnd &+= 1
                }
            }
        }
        return RequestTarget(
            range: ByteRange(start..<targetEnd), pathByteCount: pathEnd - start, hasEncodedSlash: normalizer.hasEncodedSlash)
    }

    private static func judgeQuery(_ query: Span<UInt8>) throws(MessageRefusal) {
        let (limit, fragment) = (SIMD16(repeating: UInt8(0x80)), SIMD16(repeating: UInt8(ascii: "#")))
        guard query.firstIndex(where: { ($0 .>= limit) .| ($0 .== fragment) }) == nil else {
            throw MessageRefusal("There is a character in the query that must be escaped.")
        }
    }
}

/// Walks a path once, byte by byte, and writes its normal form over it.
private struct PathNormalizer {
    /// Where the query begins, its question mark included; the end of the target where there is none.
    private(set) var queryStart = 0
    private(set) var hasEncodedSlash = false
    private var hasEscapedPercent = false
    private var segmentBytes = 0
    private var segmentDots = 0

    /// - Returns: where the normal form ends.
    mutating func run(from start: Int, to end: Int, in buffer: ByteBuffer) throws(MessageRefusal) -> Int {
        var (read, written) = (start, start)
        let bytes = buffer.bytes
        while read < end {
            let byte = bytes[read]
            switch byte {
            case UInt8(ascii: "/"):
                if read > start { try endSegment(isLast: false) }
                beginSegment()
            case UInt8(ascii: "?"):
                queryStart = read
                return try endPath(start, written, buffer)
            case UInt8(ascii: "%"):
                let decoded = try decode(at: read, to: end, in: buffer)
                read &+= 3
                if let decoded {
                    note(decoded)
                    buffer[written] = decoded
                    written &+= 1
                } else {
                    for offset in 0..<3 { buffer[written &+ offset] = buffer[read &- 3 &+ offset] }
                    written &+= 3
                }
                continue
            case UInt8(ascii: ";"):
                // Some backends take what follows off as a parameter, and then find a dot segment.
                try judgeDots()
                note(byte)
            case UInt8(ascii: "\\"): throw MessageRefusal("There is a backslash in the path.")
            case UInt8(ascii: "#"): throw MessageRefusal("There is a fragment in the request target.")
            case 0x80...: throw MessageRefusal("There is a byte in the path that must be escaped.")
            default: note(byte)
            }
            if written != read { buffer[written] = byte }
            read &+= 1
            written &+= 1
        }
        queryStart = end
        return try endPath(start, written, buffer)
    }

    private func endPath(_ start: Int, _ end: Int, _ buffer: ByteBuffer) throws(MessageRefusal) -> Int {
        try endSegment(isLast: true)
        try judgeDoubled(from: start, to: end, in: buffer)
        return end
    }

    /// The unreserved character that the escape at `offset` stands for; nil for one that stays as it is.
    private mutating func decode(at offset: Int, to end: Int, in buffer: ByteBuffer) throws(MessageRefusal) -> UInt8? {
        guard let value = escape(at: offset, to: end, in: buffer) else {
            throw MessageRefusal("There is a broken % escape in the path.")
        }
        if Characters.isUnreserved(value) { return value }
        switch value {
        case 0..<0x20, 0x7F: throw MessageRefusal("There is an escaped control character in the path.")
        case UInt8(ascii: "\\"): throw MessageRefusal("There is an escaped backslash in the path.")
        case UInt8(ascii: "/"):
            hasEncodedSlash = true
            // A backend that takes it for a slash must not find a dot segment beside it.
            try judgeDots()
            beginSegment()
            segmentBytes = 1
            return nil
        case UInt8(ascii: "%"): hasEscapedPercent = true
        case UInt8(ascii: ";"): try judgeDots()
        default: break
        }
        segmentBytes &+= 1
        segmentDots = -1
        return nil
    }

    /// Refuses what a second decoding would turn into one of the escapes that are refused: `%252f`, `%25252e`. Looks at the
    /// normal form, since an escape may have hidden a digit (`%25%32%66`).
    private func judgeDoubled(from start: Int, to end: Int, in buffer: ByteBuffer) throws(MessageRefusal) {
        guard hasEscapedPercent else { return }
        for percent in start..<end where escape(at: percent, to: end, in: buffer) == UInt8(ascii: "%") {
            var offset = percent &+ 3
            while offset &+ 1 < end, let value = hexadecimalPair(at: offset, in: buffer) {
                switch value {
                case UInt8(ascii: "%"): offset &+= 2
                case UInt8(ascii: "/"), UInt8(ascii: "\\"), UInt8(ascii: "."), 0..<0x20, 0x7F:
                    throw MessageRefusal("There is a doubly escaped slash, dot, backslash or control character in the path.")
                default: offset = end
                }
            }
        }
    }

    private func escape(at offset: Int, to end: Int, in buffer: ByteBuffer) -> UInt8? {
        guard offset &+ 2 < end, buffer[offset] == UInt8(ascii: "%") else { return nil }
        return hexadecimalPair(at: offset &+ 1, in: buffer)
    }

    private func hexadecimalPair(at offset: Int, in buffer: ByteBuffer) -> UInt8? {
        guard let high = buffer[offset].hexadecimalValue, let low = buffer[offset &+ 1].hexadecimalValue else {
            return nil
        }
        return high << 4 | low
    }

    private mutating func beginSegment() {
        segmentBytes = 0
        segmentDots = 0
    }

    private mutating func note(_ byte: UInt8) {
        segmentBytes &+= 1
        segmentDots = byte == UInt8(ascii: ".") && segmentDots >= 0 ? segmentDots &+ 1 : -1
    }

    /// - Parameter isLast: an empty last segment is a path that ends with a slash.
    private func endSegment(isLast: Bool) throws(MessageRefusal) {
        guard segmentBytes > 0 || isLast else { throw MessageRefusal("There is an empty segment (//) in the path.") }
        try judgeDots()
    }

    private func judgeDots() throws(MessageRefusal) {
        guard segmentDots != 1, segmentDots != 2 else { throw MessageRefusal("There is a dot segment in the path.") }
    }
}
