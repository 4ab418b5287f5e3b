import Bytes

/// Why bytes are no message.
public struct MalformedMessage: Error, Equatable, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}

/// Walks the fields of one Protocol Buffers message (protobuf.dev, "Encoding"), where it stands in lent bytes.
struct WireReader {
    enum Value: Equatable {
        case varint(UInt64)
        /// A string, bytes, or a message in a message.
        case bytes(Range<Int>)
        /// Four or eight bytes; no message here has such a field.
        case fixed
    }

    private var position: Int
    private let end: Int

    init(_ message: Range<Int>) {
        position = message.lowerBound
        end = message.upperBound
    }

    /// The next field's number and value; nil behind the last.
    @inline(__always)
    mutating func next(in bytes: Span<UInt8>) throws(MalformedMessage) -> (number: UInt64, value: Value)? {
        guard position < end else { return nil }
        if let short = nextShort(in: bytes) { return short }
        return try nextLong(in: bytes)
    }

    @inline(never)
    private mutating func nextLong(in bytes: Span<UInt8>) throws(MalformedMessage) -> (number: UInt64, value: Value) {
        let tag = try varint(in: bytes)
        let number = tag >> 3
        guard number > 0, number < 1 << 29 else { throw MalformedMessage("a field of number \(number), accepted: 1 to 536870911") }
        switch tag & 7 {
        case 0: return (number, .varint(try varint(in: bytes)))
        case 1: return (number, try fixed(8))
        case 2:
            let count = try varint(in: bytes)
            guard count <= UInt64(end - position) else { throw MalformedMessage("field \(number) ends behind its message") }
            let start = position
            position += Int(count)
            return (number, .bytes(start..<position))
        case 5: return (number, try fixed(4))
        default: throw MalformedMessage("field \(number) of wire type \(tag & 7), accepted: 0, 1, 2 and 5")
        }
    }

    /// Nearly every field: one of bytes, fewer than 16,384 of them, whose tag is one byte.
    @inline(__always)
    private mutating func nextShort(in bytes: Span<UInt8>) -> (number: UInt64, value: Value)? {
        guard end &- position >= 2 else { return nil }
        let tag = bytes[position]
        guard tag & 0x87 == 2, tag > 7 else { return nil }
        var (count, start) = (Int(bytes[position &+ 1]), position &+ 2)
        if count >= 0x80 {
            guard start < end, bytes[start] < 0x80 else { return nil }
            count = count & 0x7F | Int(bytes[start]) &<< 7
            start &+= 1
        }
        guard count <= end &- start else { return nil }
        position = start &+ count
        return (UInt64(tag >> 3), .bytes(start..<position))
    }

    private mutating func fixed(_ byteCount: Int) throws(MalformedMessage) -> Value {
        guard end - position >= byteCount else { throw MalformedMessage("a field that ends behind its message") }
        position += byteCount
        return .fixed
    }

    @inline(__always)
    private mutating func varint(in bytes: Span<UInt8>) throws(MalformedMessage) -> UInt64 {
        // Nearly every one is a byte.
        guard position < end, bytes[position] < 0x80 else { return try longVarint(in: bytes) }
        position &+= 1
        return UInt64(bytes[position &- 1])
    }

    private mutating func longVarint(in bytes: Span<UInt8>) throws(MalformedMessage) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while position < end {
            let byte = bytes[position]
            position &+= 1
            // The tenth byte has room for the last of 64 bits.
            guard shift < 63 || byte <= 1 else { break }
            value |= UInt64(byte & 0x7F) &<< shift
            if byte < 0x80 { return value }
            shift &+= 7
        }
        throw MalformedMessage("a number that does not end, or has more than 64 bits")
    }
}

extension WireReader.Value {
    func range(of name: StaticString) throws(MalformedMessage) -> Range<Int> {
        guard case .bytes(let range) = self else { throw MalformedMessage("\(name) is a number, accepted: a string or a message") }
        return range
    }

    func number(of name: StaticString) throws(MalformedMessage) -> UInt64 {
        guard case .varint(let number) = self else { throw MalformedMessage("\(name) is no number") }
        return number
    }
}
