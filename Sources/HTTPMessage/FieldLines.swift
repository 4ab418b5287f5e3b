import Bytes

/// Reads field lines (RFC 9112 §5): of a head, or of a trailer section.
enum FieldLines {
    /// Reads the lines in `range` of `bytes`, an empty one at its end, and appends them to `fields`.
    ///
    /// - Parameter range: what a ``HeadScanner`` delimited: every line in it ends with CRLF.
    static func read(
        _ range: Range<Int>, of bytes: Span<UInt8>, into fields: inout [FieldLine]
    ) throws(MessageRefusal) {
        var start = range.lowerBound
        while bytes[start] != 0x0D || bytes[start &+ 1] != 0x0A {
            let field = try line(at: start, in: bytes)
            start = field.line.end
            fields.append(field)
        }
        guard start &+ 2 == range.upperBound else { throw MessageRefusal("There is a bare CR in the header.") }
    }

    private static func line(at start: Int, in bytes: Span<UInt8>) throws(MessageRefusal) -> FieldLine {
        var colon = start
        while Characters.isToken(bytes[colon]) { colon &+= 1 }
        guard colon > start, bytes[colon] == UInt8(ascii: ":") else { throw nameRefusal(bytes, start, colon) }
        let end = try endOfValue(from: colon &+ 1, in: bytes)
        return FieldLine(
            name: ByteRange(start..<colon), value: ByteRange(bytes.withoutBlanks(colon &+ 1..<end)), line: ByteRange(start..<end &+ 2),
            kind: FieldKind.of(bytes.extracting(start..<colon)))
    }

    /// Where the CRLF stands that ends the value which begins at `start`.
    private static func endOfValue(from start: Int, in bytes: Span<UInt8>) throws(MessageRefusal) -> Int {
        var end = start
        while true {
            end = bytes.firstControl(from: end)
            if bytes[end] == 0x09 {
                end &+= 1
                continue
            }
            guard bytes[end] == 0x0D else { throw MessageRefusal("There is a control character in a header value.") }
            guard bytes[end &+ 1] == 0x0A else { throw MessageRefusal("There is a bare CR in a header value.") }
            return end
        }
    }

    private static func nameRefusal(_ bytes: Span<UInt8>, _ start: Int, _ offset: Int) -> MessageRefusal {
        if offset == start, bytes[start].isBlank {
            return MessageRefusal("A header line begins with white space; folded lines are not accepted.")
        }
        switch bytes[offset] {
        case UInt8(ascii: ":"): return MessageRefusal("A header line has no name before its colon.")
        case 0x20, 0x09: return MessageRefusal("There is white space in or behind a header name.")
        case 0x0D: return MessageRefusal("A header line has no colon.")
        default: return MessageRefusal("There is a character in a header name that no name may have.")
        }
    }
}

extension Span where Element == UInt8 {
    /// The first control character (below 0x20, or 0x7F) at or behind `start`; `count` where there is none.
    func firstControl(from start: Int) -> Int {
        let raw = unsafe bytes
        let ones: UInt64 = 0x0101_0101_0101_0101
        var index = start
        while index &+ 8 <= raw.byteCount {
            let word = unsafe UInt64(littleEndian: raw.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self))
            // The high bits of the bytes that are below 0x20 or are 0x7F (Hacker's Delight, 6-1). May be wrong in favour of a control
            // character behind a true one, never else: the lowest one is right.
            let delete = word ^ (ones &* 0x7F)
            let below = (word &- ones &* 0x20) & ~word
            let controls = (below | ((delete &- ones) & ~delete)) & (ones &* 0x80)
            if controls != 0 { return index &+ controls.trailingZeroBitCount / 8 }
            index &+= 8
        }
        while index < raw.byteCount {
            if self[index] < 0x20 || self[index] == 0x7F { return index }
            index &+= 1
        }
        return raw.byteCount
    }
}
