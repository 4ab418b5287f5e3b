import Bytes

/// Buffers lent to connections while they have bytes in hand, so that an idle connection holds none.
public final class BufferPool {
    /// What a lent buffer can hold before it grows, in bytes.
    public static let bufferBytes = 16 * 1024
    /// How many buffers are kept for the next borrower.
    private static let maximumKept = 256

    private var kept: [ByteBuffer] = []

    public func take() -> ByteBuffer {
        kept.popLast() ?? ByteBuffer(capacity: Self.bufferBytes)
    }

    /// Takes back a buffer. One that has grown is let go, so that one large message doesn't stay in memory for good.
    public func give(_ buffer: ByteBuffer) {
        guard kept.count < Self.maximumKept, buffer.capacity == Self.bufferBytes else { return }
        buffer.clear()
        kept.append(buffer)
    }
}
