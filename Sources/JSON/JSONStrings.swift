import Bytes

extension JSONReader {
    /// Reads a string with its quotes (RFC 8259 §7).
    ///
    /// - Returns: where what stands between them is, and whether there are escapes in it.
    mutating func string(_ bytes: Span<UInt8>) throws(JSONError) -> (range: Range<Int>, hasEscapes: Bool) {
        offset &+= 1
        let start = offset
        var hasEscapes = false
        while let end = bytes.firstBreakOfString(from: offset) {
            offset = end
            switch bytes[end] {
            case UInt8(ascii: "\""):
                offset &+= 1
                return (start..<end, hasEscapes)
            case UInt8(ascii: "\\"):
                hasEscapes = true
                _ = try escaped(bytes)
            default: throw refusal("a control character must be escaped")
            }
        }
        offset = bytes.count
        throw refusal("the text ends within a string")
    }

    /// What stands for itself or is escaped in `range` of a text that has been read.
    static func text(_ range: Range<Int>, in bytes: Span<UInt8>, hasEscapes: Bool) -> String {
        guard hasEscapes else { return unsafe String(copying: UTF8Span(unchecked: bytes.extracting(range))) }
        var text = String.UnicodeScalarView()
        var reader = JSONReader(offset: range.lowerBound)
        while reader.offset < range.upperBound {
            let start = reader.offset
            reader.offset = min(bytes.firstBreakOfString(from: start) ?? range.upperBound, range.upperBound)
            text += unsafe String(copying: UTF8Span(unchecked: bytes.extracting(start..<reader.offset))).unicodeScalars
            // It was read before, and so has no wrong escape.
            if reader.offset < range.upperBound, let scalar = try? reader.escaped(bytes) { text.append(scalar) }
        }
        return String(text)
    }

    /// Reads an escape, from its backslash on.
    private mutating func escaped(_ bytes: Span<UInt8>) throws(JSONError) -> Unicode.Scalar {
        offset &+= 1
        guard let byte = peek(bytes) else { throw refusal("the text ends within an escape") }
        offset &+= 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
        case UInt8(ascii: "b"): return "\u{08}"
        case UInt8(ascii: "f"): return "\u{0c}"
        case UInt8(ascii: "n"): return "\u{0a}"
        case UInt8(ascii: "r"): return "\u{0d}"
        case UInt8(ascii: "t"): return "\u{09}"
        case UInt8(ascii: "u"): return try scalar(bytes)
        default: throw refusal("there is no such escape")
        }
    }

    private mutating func scalar(_ bytes: Span<UInt8>) throws(JSONError) -> Unicode.Scalar {
        let first = try fourDigits(bytes)
        if let scalar = Unicode.Scalar(first) { return scalar }
        // A high surrogate means something only with a low one behind it (RFC 8259 §7).
        guard first < 0xdc00, peek(bytes) == UInt8(ascii: "\\") else { throw refusal("half of a surrogate pair") }
        offset &+= 1
        guard peek(bytes) == UInt8(ascii: "u") else { throw refusal("half of a surrogate pair") }
        offset &+= 1
        let second = try fourDigits(bytes)
        guard (0xdc00...0xdfff).contains(second),
            let scalar = Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (second - 0xdc00))
        else { throw refusal("half of a surrogate pair") }
        return scalar
    }

    private mutating func fourDigits(_ bytes: Span<UInt8>) throws(JSONError) -> UInt32 {
        var number: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = peek(bytes)?.hexadecimalValue else { throw refusal("four hexadecimal digits should be here") }
            number = number << 4 | UInt32(digit)
            offset &+= 1
        }
        return number
    }
}

extension Span where Element == UInt8 {
    /// Where, from `start` on, the first byte stands that can't be part of a JSON string as it is: a quote, a backslash, or a
    /// control character. Eight bytes are looked at together.
    fileprivate func firstBreakOfString(from start: Int) -> Int? {
        let bytes = unsafe self.bytes
        let (ones, highBits): (UInt64, UInt64) = (0x0101_0101_0101_0101, 0x8080_8080_8080_8080)
        let (quotes, backslashes) = (UInt64(UInt8(ascii: "\"")) &* ones, UInt64(UInt8(ascii: "\\")) &* ones)
        var index = start
        while index &+ 8 <= count {
            let word = unsafe UInt64(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self))
            let (quoted, escaped) = (word ^ quotes, word ^ backslashes)
            // A high bit is set for each byte that is zero, or less than a blank; falsely only above one that is right.
            let breaks = ((quoted &- ones) & ~quoted | (escaped &- ones) & ~escaped | (word &- 0x20 &* ones) & ~word) & highBits
            if breaks != 0 { return index &+ breaks.trailingZeroBitCount / 8 }
            index &+= 8
        }
        while index < count {
            if self[index] < 0x20 || self[index] == UInt8(ascii: "\"") || self[index] == UInt8(ascii: "\\") { return index }
            index &+= 1
        }
        return nil
    }
}
