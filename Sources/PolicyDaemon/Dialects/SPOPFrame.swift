import Bytes

/// A frame's type (SPOE.txt §3.2.2).
enum SPOPFrameType: UInt8, Sendable {
    /// A further fragment of a frame before.
    case unset = 0
    case haproxyHello = 1
    case haproxyDisconnect = 2
    case notify = 3
    case agentHello = 101
    case agentDisconnect = 102
    case ack = 103
}

/// What stands before a frame's payload: `length u32 | type u8 | flags u32 | stream-id varint | frame-id varint`.
struct SPOPFrame: Equatable, Sendable {
    static let lengthByteCount = 4
    static let final: UInt32 = 1

    /// nil for one that may be skipped.
    var type: SPOPFrameType?
    var flags: UInt32
    var ids: SPOPFrameIDs
    /// Where the payload lies in the bytes that were parsed.
    var payload: Range<Int>

    /// The frame at the front of `bytes`; nil while it is not complete.
    ///
    /// - Parameter maximumBytes: what the frame may take, its length not counted. Judged as soon as the length is there.
    static func parse(_ bytes: Span<UInt8>, maximumBytes: Int) throws(SPOPError) -> SPOPFrame? {
        guard bytes.count >= lengthByteCount else { return nil }
        let length = Int(bytes[0]) << 24 | Int(bytes[1]) << 16 | Int(bytes[2]) << 8 | Int(bytes[3])
        guard length <= maximumBytes else {
            throw SPOPError(.frameTooBig, "a frame of \(length) bytes, at most \(maximumBytes) are accepted")
        }
        guard bytes.count >= lengthByteCount + length else { return nil }
        let end = lengthByteCount + length
        guard length >= 7 else { throw SPOPError(.frameInvalid, "a frame of \(length) bytes, the shortest has 7") }
        var flags: UInt32 = 0
        for index in 5..<9 { flags = flags << 8 | UInt32(bytes[index]) }
        var reader = SPOPReader(9..<end)
        let ids = SPOPFrameIDs(stream: try reader.varint(bytes), frame: try reader.varint(bytes))
        return SPOPFrame(type: SPOPFrameType(rawValue: bytes[4]), flags: flags, ids: ids, payload: reader.position..<end)
    }

    var isFinal: Bool { flags & Self.final != 0 }
}

/// Which stream of HAProxy's a frame belongs to, and which of its frames it is.
struct SPOPFrameIDs: Equatable, Sendable {
    var stream: UInt64 = 0
    var frame: UInt64 = 0
}

/// A value of the protocol (SPOE.txt §3.1), as far as they are told apart here.
enum SPOPValue: Equatable, Sendable {
    case null
    case bool(Bool)
    /// Of any of the four integer types.
    case integer(UInt64)
    /// 4 or 16 bytes.
    case address(Range<Int>)
    case string(Range<Int>)
    case binary(Range<Int>)

    var binary: Range<Int>? { if case .binary(let range) = self { range } else { nil } }
}

/// Reads one value of a frame after the other.
struct SPOPReader {
    private(set) var position: Int
    private let end: Int

    init(_ range: Range<Int>) {
        position = range.lowerBound
        end = range.upperBound
    }

    var isAtEnd: Bool { position == end }

    mutating func byte(_ bytes: Span<UInt8>) throws(SPOPError) -> UInt8 {
        guard position < end else { throw SPOPError(.frameInvalid, "a frame that ends within a value") }
        position &+= 1
        return bytes[position &- 1]
    }

    /// An integer of variable length. Each step takes off what the byte before said, its flag bits included, before it shifts.
    mutating func varint(_ bytes: Span<UInt8>) throws(SPOPError) -> UInt64 {
        var value = UInt64(try byte(bytes))
        guard value >= 240 else { return value }
        var shift: UInt64 = 4
        while true {
            let next = UInt64(try byte(bytes))
            // Nine bytes behind the first hold 64 bits; of the last, one bit counts.
            guard shift <= 60, shift < 60 || next < 16 else { throw SPOPError(.frameInvalid, "an integer of more than 64 bits") }
            let (sum, isOverflow) = value.addingReportingOverflow(next << shift)
            guard !isOverflow else { throw SPOPError(.frameInvalid, "an integer of more than 64 bits") }
            value = sum
            guard next >= 128 else { return value }
            shift &+= 7
        }
    }

    /// `length varint | bytes`.
    mutating func string(_ bytes: Span<UInt8>) throws(SPOPError) -> Range<Int> {
        let count = try varint(bytes)
        guard count <= UInt64(end &- position) else { throw SPOPError(.frameInvalid, "a string that ends behind its frame") }
        return take(Int(count))
    }

    mutating func value(_ bytes: Span<UInt8>) throws(SPOPError) -> SPOPValue {
        let tag = try byte(bytes)
        switch tag & 0x0F {
        case 0: return .null
        case 1: return .bool(tag & 0x10 != 0)
        case 2, 3, 4, 5: return .integer(try varint(bytes))
        case 6, 7:
            let count = tag & 0x0F == 6 ? 4 : 16
            guard count <= end &- position else { throw SPOPError(.frameInvalid, "an address that ends behind its frame") }
            return .address(take(count))
        case 8: return .string(try string(bytes))
        case 9: return .binary(try string(bytes))
        default: throw SPOPError(.frameInvalid, "a value of type \(tag & 0x0F), 0 to 9 are known")
        }
    }

    private mutating func take(_ count: Int) -> Range<Int> {
        position &+= count
        return position &- count..<position
    }
}

extension ByteBuffer {
    /// Appends a frame whose payload `write` appends.
    func append(_ type: SPOPFrameType, _ ids: SPOPFrameIDs, _ write: (ByteBuffer) -> Void) {
        let start = count
        append(bigEndian: UInt32(0))
        append(type.rawValue)
        append(bigEndian: SPOPFrame.final)
        append(varint: ids.stream)
        append(varint: ids.frame)
        write(self)
        let length = count - start - SPOPFrame.lengthByteCount
        for index in 0..<4 { self[start + index] = UInt8(truncatingIfNeeded: length >> (24 - 8 * index)) }
    }

    func append(varint number: UInt64) {
        guard number >= 240 else { return append(UInt8(number)) }
        append(UInt8(truncatingIfNeeded: number) | 0xF0)
        var rest = (number &- 240) >> 4
        while rest >= 128 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest = (rest &- 128) >> 7
        }
        append(UInt8(rest))
    }

    func append(spopName name: StaticString) {
        append(varint: UInt64(name.utf8CodeUnitCount))
        append(name)
    }

    func append(spopString text: Span<UInt8>) {
        append(spopStringOf: text.count)
        append(text)
    }

    /// Begins a string of so many bytes, which are to be appended next.
    func append(spopStringOf byteCount: Int) {
        append(8)
        append(varint: UInt64(byteCount))
    }

    func append(spopUInt32 number: UInt32) {
        append(3)
        append(varint: UInt64(number))
    }

    func append(spopBool value: Bool) { append(value ? 0x11 : 0x01) }
}
