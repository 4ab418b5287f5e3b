import Bytes

extension JSONValue {
    /// The value as compact JSON.
    public var serialized: [UInt8] {
        let buffer = ByteBuffer(capacity: 256)
        write(to: buffer)
        return buffer.bytes.array
    }

    /// Appends the value as compact JSON.
    public func write(to buffer: ByteBuffer) {
        switch self {
        case .null: buffer.append("null")
        case .bool(let value): buffer.append(value ? "true" : "false")
        case .number(let number): buffer.append(utf8: number.text)
        case .string(let text): buffer.append(jsonString: text)
        case .array(let elements):
            buffer.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { buffer.append(UInt8(ascii: ",")) }
                element.write(to: buffer)
            }
            buffer.append(UInt8(ascii: "]"))
        case .object(let object):
            buffer.append(UInt8(ascii: "{"))
            for (index, member) in object.members.enumerated() {
                if index > 0 { buffer.append(UInt8(ascii: ",")) }
                buffer.append(jsonString: member.name)
                buffer.append(UInt8(ascii: ":"))
                member.value.write(to: buffer)
            }
            buffer.append(UInt8(ascii: "}"))
        }
    }
}

extension ByteBuffer {
    /// Appends `text` as a JSON string, quotes included.
    public func append(jsonString text: String) {
        let units = Array(text.utf8)
        append(jsonString: units.span)
    }

    /// Appends bytes as a JSON string, quotes included. What is not UTF-8 is replaced byte by byte with U+FFFD, so that the
    /// result is JSON whatever a client sent.
    public func append(jsonString units: Span<UInt8>) {
        append(UInt8(ascii: "\""))
        append(jsonCharacters: units)
        append(UInt8(ascii: "\""))
    }

    /// Appends what stands between the quotes of ``append(jsonString:)-(Span<UInt8>)``.
    public func append(jsonCharacters units: Span<UInt8>) {
        var index = 0
        while index < units.count {
            let unit = units[index]
            if unit >= 0x80 {
                let length = utf8SequenceLength(units, at: index)
                if length == 0 {
                    append("\u{fffd}")
                    index += 1
                } else {
                    append(units.extracting(index..<index + length))
                    index += length
                }
                continue
            }
            append(jsonASCII: unit)
            index += 1
        }
    }

    private func append(jsonASCII unit: UInt8) {
        switch unit {
        case UInt8(ascii: "\""): append("\\\"")
        case UInt8(ascii: "\\"): append("\\\\")
        case 0x0a: append("\\n")
        case 0x0d: append("\\r")
        case 0x09: append("\\t")
        case 0..<0x20, 0x7f:
            append("\\u00")
            append(hexadecimalDigit: unit >> 4)
            append(hexadecimalDigit: unit)
        default: append(unit)
        }
    }
}

/// The length of the well-formed UTF-8 sequence that begins at `index` (Unicode 15, table 3-7); 0 where none does.
private func utf8SequenceLength(_ units: Span<UInt8>, at index: Int) -> Int {
    let first = units[index]
    let (length, second): (Int, ClosedRange<UInt8>)
    switch first {
    case 0xc2...0xdf: (length, second) = (2, 0x80...0xbf)
    case 0xe0: (length, second) = (3, 0xa0...0xbf)
    case 0xed: (length, second) = (3, 0x80...0x9f)
    case 0xe1...0xef: (length, second) = (3, 0x80...0xbf)
    case 0xf0: (length, second) = (4, 0x90...0xbf)
    case 0xf1...0xf3: (length, second) = (4, 0x80...0xbf)
    case 0xf4: (length, second) = (4, 0x80...0x8f)
    default: return 0
    }
    guard index + length <= units.count, second.contains(units[index + 1]) else { return 0 }
    for offset in 2..<max(length, 2) where units[index + offset] & 0xc0 != 0x80 { return 0 }
    return length
}
