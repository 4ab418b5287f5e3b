import Bytes

extension ByteBuffer {
    /// Appends a field whose value is 0 as well: in proto3 that says the same as no field.
    func append(field number: UInt8, varint value: UInt64) {
        append(number << 3)
        append(varint: value)
    }

    func append(field number: UInt8, _ bytes: Span<UInt8>) {
        append(number << 3 | 2)
        append(varint: UInt64(bytes.count))
        append(bytes)
    }

    /// - Parameter append: appends the value, which has `byteCount` bytes; traps where it does not.
    func append(field number: UInt8, byteCount: Int, _ append: (ByteBuffer) -> Void) {
        self.append(number << 3 | 2)
        self.append(varint: UInt64(byteCount))
        let start = count
        append(self)
        precondition(count - start == byteCount, "a value as long as its length says")
    }

    /// Appends what stands before a string, or a message, of at most 127 bytes.
    func append(messageOf byteCount: Int, field number: UInt8) { append(bigEndian: UInt16(number << 3 | 2) << 8 | UInt16(UInt8(byteCount))) }

    func append(field number: UInt8, _ text: StaticString) {
        append(number << 3 | 2)
        append(varint: UInt64(text.utf8CodeUnitCount))
        append(text)
    }

    /// Appends a message in the message. Its length stands before it and is known behind it: a long one is moved up to make room.
    func append(field number: UInt8, message: (ByteBuffer) -> Void) {
        append(number << 3 | 2)
        append(0)
        let start = count
        message(self)
        let length = count - start
        guard length >= 0x80 else { return self[start - 1] = UInt8(length) }
        let lengthByteCount = Self.varintByteCount(UInt64(length))
        insertGap(of: lengthByteCount - 1, at: start)
        var rest = length
        for index in 0..<lengthByteCount {
            self[start - 1 + index] = UInt8(rest & 0x7F) | (index < lengthByteCount - 1 ? 0x80 : 0)
            rest >>= 7
        }
    }

    func append(varint value: UInt64) {
        guard value >= 0x80 else { return append(UInt8(value)) }
        var rest = value
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(rest))
    }

    /// How many bytes a field takes that has `byteCount` bytes as its value.
    static func fieldByteCount(_ byteCount: Int) -> Int { 1 + varintByteCount(UInt64(byteCount)) + byteCount }

    private static func varintByteCount(_ value: UInt64) -> Int { max(1, (64 - value.leadingZeroBitCount + 6) / 7) }
}

extension Span where Element == UInt8 {
    /// Whether these bytes may stand in a field of type string.
    var isUTF8: Bool {
        var all: UInt8 = 0
        for index in indices { all |= self[index] }
        return all < 0x80 || String(validating: array, as: UTF8.self) != nil
    }
}
