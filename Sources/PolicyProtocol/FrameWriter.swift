import Bytes

/// Writes one frame at the end of a buffer, field by field, and takes it back whole if it cannot be finished.
///
/// Sizes are checked here, because a length that does not fit would corrupt the frames behind it. Whether a value is
/// well-formed is the reader's to judge: each value is then judged once, on the side that would suffer from it.
struct FrameWriter: ~Copyable {
    let buffer: ByteBuffer
    let maximumFrameBytes: Int
    private let start: Int
    private var isTooLarge = false

    init(_ type: FrameType, id: UInt32, to buffer: ByteBuffer, maximumFrameBytes: Int) {
        self.buffer = buffer
        self.maximumFrameBytes = maximumFrameBytes
        start = buffer.count
        buffer.append(bigEndian: UInt32(type.rawValue) << 24)
        buffer.append(bigEndian: id)
    }

    /// Begins a field whose value has `count` bytes. Where this says `false` there is no room, and nothing may be appended.
    @inline(__always)
    mutating func begin(_ tag: UInt8, count: Int) -> Bool {
        guard !isTooLarge, count <= 0xFFFF,
            buffer.count &- start &+ Field.headByteCount &+ count <= maximumFrameBytes
        else {
            isTooLarge = true
            return false
        }
        buffer.append(tag)
        buffer.append(bigEndian: UInt16(truncatingIfNeeded: count))
        return true
    }

    @inline(__always)
    mutating func field(_ tag: UInt8, _ value: Span<UInt8>) {
        if begin(tag, count: value.count) { buffer.append(value) }
    }

    /// Appends fields that were encoded before.
    mutating func fields(_ encoded: Span<UInt8>) {
        guard !isTooLarge, buffer.count &- start &+ encoded.count <= maximumFrameBytes else {
            isTooLarge = true
            return
        }
        buffer.append(encoded)
    }

    mutating func field(_ tag: UInt8, _ value: StaticString) {
        if begin(tag, count: value.utf8CodeUnitCount) { buffer.append(value) }
    }

    mutating func field(_ tag: UInt8, utf8 value: String) {
        if begin(tag, count: value.utf8.count) { buffer.append(utf8: value) }
    }

    mutating func field(_ tag: UInt8, byte: UInt8) {
        if begin(tag, count: 1) { buffer.append(byte) }
    }

    mutating func field(_ tag: UInt8, bigEndian number: UInt16) {
        if begin(tag, count: 2) { buffer.append(bigEndian: number) }
    }

    mutating func field(_ tag: UInt8, bigEndian number: UInt32) {
        if begin(tag, count: 4) { buffer.append(bigEndian: number) }
    }

    /// Appends `nameLength u8 | name`, for which, with the value that follows, a field was begun.
    @inline(__always)
    mutating func beginHeader(_ tag: UInt8, prefix: UInt8? = nil, name: Span<UInt8>, valueCount: Int) -> Bool {
        guard name.count <= ProtocolLimits.headerNameBytes else {
            isTooLarge = true
            return false
        }
        guard begin(tag, count: (prefix == nil ? 1 : 2) &+ name.count &+ valueCount) else { return false }
        if let prefix { buffer.append(prefix) }
        buffer.append(UInt8(truncatingIfNeeded: name.count))
        buffer.append(name)
        return true
    }

    /// Puts the length into the header.
    ///
    /// - Throws: `frameTooLarge`, with the buffer as it was before the frame was begun.
    consuming func finish() throws(ProtocolError) {
        guard !isTooLarge else {
            buffer.truncate(to: start)
            throw ProtocolError(
                .frameTooLarge,
                "a message that does not fit: a frame takes \(maximumFrameBytes) bytes, a field 65535, a name 255")
        }
        let length = buffer.count - start - FrameHeader.byteCount
        buffer[start + 1] = UInt8(truncatingIfNeeded: length >> 16)
        buffer[start + 2] = UInt8(truncatingIfNeeded: length >> 8)
        buffer[start + 3] = UInt8(truncatingIfNeeded: length)
    }
}
