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

    /// The line that begins at `start`. Whatever there is ends with CRLF.
    static func line(at start: Int, in bytes: Span<UInt8>) throws(MessageRefusal) -> FieldLine {
        var colon = bytes.endOfPlainName(from: start)
        let isPlain = bytes[colon] == UInt8(ascii: ":")
        while Characters.isToken(bytes[colon]) { colon &+= 1 }
        guard colon > start, bytes[colon] == UInt8(ascii: ":") else { throw nameRefusal(bytes, start, colon) }
        let end = try endOfValue(from: colon &+ 1, in: bytes)
        let name = bytes.extracting(start..<colon)
        return FieldLine(
            name: ByteRange(start..<colon), value: ByteRange(bytes.withoutBlanks(colon &+ 1..<end)), line: ByteRange(start..<end &+ 2),
            kind: isPlain ? .ofPlain(name) : .of(name))
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
        let (space, delete) = (SIMD16<UInt8>(repeating: 0x20), SIMD16<UInt8>(repeating: 0x7F))
        return firstIndex(from: start) { ($0 .< space) .| ($0 .== delete) } ?? count
    }

    /// The first byte at or behind `start` that is no letter, digit or hyphen, of which nearly all names are made; `count` where there is none.
    fileprivate func endOfPlainName(from start: Int) -> Int {
        let (caseBit, a, letters) = (SIMD16<UInt8>(repeating: 0x20), SIMD16<UInt8>(repeating: 0x61), SIMD16<UInt8>(repeating: 26))
        let (zero, digits, hyphen) = (SIMD16<UInt8>(repeating: 0x30), SIMD16<UInt8>(repeating: 10), SIMD16<UInt8>(repeating: 0x2D))
        return firstIndex(from: start) {
            (($0 | caseBit) &- a .>= letters) .& ($0 &- zero .>= digits) .& ($0 .!= hyphen)
        } ?? count
    }
}
