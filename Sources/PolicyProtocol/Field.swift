import Bytes

/// Where a value lies in a payload. Offsets rather than a `Span`, so that a message outlives the buffer's lending.
public struct FieldRange: Sendable, Equatable {
    @usableFromInline let offset: UInt32
    @usableFromInline let length: UInt32

    @inlinable init(offset: Int, count: Int) {
        self.offset = UInt32(truncatingIfNeeded: offset)
        self.length = UInt32(truncatingIfNeeded: count)
    }

    /// No bytes.
    public static let empty = FieldRange(offset: 0, count: 0)

    @inlinable public var count: Int { Int(length) }

    @inlinable public var isEmpty: Bool { length == 0 }

    /// Where in the payload.
    @inlinable public var range: Range<Int> { Int(offset)..<Int(offset) &+ Int(length) }

    /// The bytes themselves.
    ///
    /// - Parameter payload: the bytes that were parsed. Traps where they are shorter than those.
    @_lifetime(copy payload)
    @inlinable public func bytes(in payload: Span<UInt8>) -> Span<UInt8> {
        payload.extracting(Int(offset)..<Int(offset) &+ Int(length))
    }
}

/// A header's name and value, as ranges of the payload they stand in.
public struct HeaderField: Sendable, Equatable {
    public let name: FieldRange
    public let value: FieldRange
}

/// One field of a payload: `tag u8 | length u16 | value`. A tag with its top bit set is critical.
struct Field {
    static let headByteCount = 3

    let tag: UInt8
    let offset: Int
    let count: Int

    var end: Int { offset &+ count }
    var range: FieldRange { FieldRange(offset: offset, count: count) }

    /// The field at `position`, or `nil` where no whole field stands.
    @inline(__always)
    static func at(_ position: Int, in payload: Span<UInt8>) -> Field? {
        guard payload.count &- position >= headByteCount else { return nil }
        let count = Int(payload[position &+ 1]) << 8 | Int(payload[position &+ 2])
        let offset = position &+ headByteCount
        guard payload.count &- offset >= count else { return nil }
        return Field(tag: payload[position], offset: offset, count: count)
    }

    @_lifetime(copy payload)
    @inline(__always)
    func value(in payload: Span<UInt8>) -> Span<UInt8> { payload.extracting(offset..<end) }

    /// Splits `nameLength u8 | name | value`, which begins `prefixByteCount` bytes into this field.
    @inline(__always)
    func header(in payload: Span<UInt8>, prefixByteCount: Int = 0) -> HeaderField? {
        let lengthOffset = offset &+ prefixByteCount
        guard lengthOffset < end else { return nil }
        let nameOffset = lengthOffset &+ 1
        let nameCount = Int(payload[lengthOffset])
        guard end &- nameOffset >= nameCount else { return nil }
        let valueOffset = nameOffset &+ nameCount
        return HeaderField(
            name: FieldRange(offset: nameOffset, count: nameCount),
            value: FieldRange(offset: valueOffset, count: end &- valueOffset))
    }

    func uint16(in payload: Span<UInt8>, _ name: StaticString) throws(ProtocolError) -> UInt16 {
        guard count == 2 else { throw wrongSize(name, "2") }
        return UInt16(payload[offset]) << 8 | UInt16(payload[offset + 1])
    }

    func uint32(in payload: Span<UInt8>, _ name: StaticString) throws(ProtocolError) -> UInt32 {
        guard count == 4 else { throw wrongSize(name, "4") }
        var number: UInt32 = 0
        for index in offset..<end { number = number << 8 | UInt32(payload[index]) }
        return number
    }

    func wrongSize(_ name: StaticString, _ accepted: String) -> ProtocolError {
        ProtocolError(.fieldMalformed, "\(name) of \(count) bytes, accepted: \(accepted)")
    }
}

/// The fields of one payload that may stand only once, and which of them have been seen.
struct SeenFields {
    private var bits: UInt64 = 0

    @inline(__always)
    mutating func note(_ tag: UInt8, _ name: StaticString) throws(ProtocolError) {
        let bit = UInt64(1) << UInt64(tag & 0x3F)
        guard bits & bit == 0 else {
            throw ProtocolError(.fieldRepeated, "\(name) twice, it may stand once")
        }
        bits |= bit
    }

    @inline(__always)
    func require(_ tag: UInt8, _ name: StaticString) throws(ProtocolError) {
        guard bits & UInt64(1) << UInt64(tag & 0x3F) != 0 else {
            throw ProtocolError(.fieldMissing, "no \(name), it is required")
        }
    }

    func has(_ tag: UInt8) -> Bool { bits & UInt64(1) << UInt64(tag & 0x3F) != 0 }
}

/// Passes over a field the reader does not know, unless the field forbids that.
func skipUnknown(_ tag: UInt8, in message: StaticString) throws(ProtocolError) {
    guard tag & 0x80 == 0 else {
        throw ProtocolError(
            .fieldUnknown, "\(message) with a field of tag \(hexadecimal(tag)), which version 1 does not know and may not skip")
    }
}

func truncatedField(at position: Int, in message: StaticString) -> ProtocolError {
    ProtocolError(.fieldMalformed, "\(message) with a field at payload offset \(position) that ends behind the payload")
}
