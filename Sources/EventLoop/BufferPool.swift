import Bytes

/// Buffers lent to connections while they have bytes in hand, so that an idle connection holds none.
public final class BufferPool {
    /// What a lent buffer can hold before it grows, in bytes.
    public static let bufferBytes = 16 * 1024
    /// How many buffers are kept for the next borrower.
    private static let maximumKept = 256

    private var shelf = Shelf()

    public func take() -> ByteBuffer {
        shelf.kept.popLast() ?? ByteBuffer(capacity: Self.bufferBytes)
    }

    /// Gives an empty buffer with little room the storage of a pooled one, the last used first: what is in use by turns stays in
    /// the processor's caches and translation tables, however many exchanges wait.
    public func furnish(_ buffer: ByteBuffer) {
        guard buffer.capacity < Self.bufferBytes, buffer.isEmpty else { return }
        shelf.furnish(buffer)
    }

    /// Takes the storage back from a buffer that ``furnish(_:)`` gave it to, where nothing is in it.
    public func strip(_ buffer: ByteBuffer) {
        guard buffer.capacity == Self.bufferBytes, buffer.isEmpty else { return }
        shelf.strip(buffer)
    }

    /// Takes back a buffer. One that has grown is let go, so that one large message doesn't stay in memory for good.
    public func give(_ buffer: ByteBuffer) {
        shelf.give(buffer)
    }

    /// What is not lent: one value, so that a call is one access to it.
    private struct Shelf {
        var kept: [ByteBuffer] = []
        /// Buffers whose storage has been lent to others: small ones.
        private var shells: [ByteBuffer] = []

        mutating func furnish(_ buffer: ByteBuffer) {
            let lender = kept.popLast() ?? ByteBuffer(capacity: BufferPool.bufferBytes)
            buffer.exchangeStorage(with: lender)
            if shells.count < BufferPool.maximumKept { shells.append(lender) }
        }

        mutating func strip(_ buffer: ByteBuffer) {
            let shell = shells.popLast() ?? ByteBuffer(capacity: 16)
            buffer.exchangeStorage(with: shell)
            give(shell)
        }

        mutating func give(_ buffer: ByteBuffer) {
            guard kept.count < BufferPool.maximumKept, buffer.capacity == BufferPool.bufferBytes else { return }
            buffer.clear()
            kept.append(buffer)
        }
    }
}
