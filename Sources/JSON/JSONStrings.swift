extension JSONReader {
    /// Reads a string with its quotes (RFC 8259 §7).
    mutating func string(_ bytes: Span<UInt8>) throws(JSONError) -> String {
        offset += 1
        let start = offset
        while let byte = peek(bytes), byte >= 0x20, byte != UInt8(ascii: "\\") {
            if byte == UInt8(ascii: "\"") {
                guard let text = text(bytes.extracting(start..<offset)) else { throw refusal("the string is not UTF-8") }
                offset += 1
                return text
            }
            offset += 1
        }
        // One with an escape can't be had in one piece.
        var units: [UInt8] = []
        offset = start
        while let byte = peek(bytes) {
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: units, as: UTF8.self) else { throw refusal("the string is not UTF-8") }
                offset += 1
                return text
            case UInt8(ascii: "\\"):
                offset += 1
                try escape(bytes, into: &units)
            case 0..<0x20: throw refusal("a control character must be escaped")
            default:
                units.append(byte)
                offset += 1
            }
        }
        throw refusal("the text ends within a string")
    }

    private mutating func escape(_ bytes: Span<UInt8>, into units: inout [UInt8]) throws(JSONError) {
        guard let byte = peek(bytes) else { throw refusal("the text ends within an escape") }
        offset += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): units.append(byte)
        case UInt8(ascii: "b"): units.append(0x08)
        case UInt8(ascii: "f"): units.append(0x0c)
        case UInt8(ascii: "n"): units.append(0x0a)
        case UInt8(ascii: "r"): units.append(0x0d)
        case UInt8(ascii: "t"): units.append(0x09)
        case UInt8(ascii: "u"): units.append(contentsOf: Array(String(try scalar(bytes)).utf8))
        default: throw refusal("there is no such escape")
        }
    }

    private mutating func scalar(_ bytes: Span<UInt8>) throws(JSONError) -> Unicode.Scalar {
        let first = try fourDigits(bytes)
        if let scalar = Unicode.Scalar(first) { return scalar }
        // A high surrogate means something only with a low one behind it (RFC 8259 §7).
        guard first < 0xdc00, peek(bytes) == UInt8(ascii: "\\") else { throw refusal("half of a surrogate pair") }
        offset += 1
        guard peek(bytes) == UInt8(ascii: "u") else { throw refusal("half of a surrogate pair") }
        offset += 1
        let second = try fourDigits(bytes)
        guard (0xdc00...0xdfff).contains(second),
            let scalar = Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (second - 0xdc00))
        else { throw refusal("half of a surrogate pair") }
        return scalar
    }

    private mutating func fourDigits(_ bytes: Span<UInt8>) throws(JSONError) -> UInt32 {
        var number: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = peek(bytes), let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
                throw refusal("four hexadecimal digits should be here")
            }
            number = number << 4 | UInt32(digit)
            offset += 1
        }
        return number
    }
}
