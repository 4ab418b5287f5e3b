import Bytes

/// Buffers lent to connections while they have bytes in hand, so that an idle connection holds none.
public final class BufferPool {
    /// What a lent buffer can hold before it grows, in bytes.
    public static let bufferBytes = 16 * 1024
    /// What a buffer for bulk can hold, in bytes: a large body then takes a seventh of the system calls, and of the wake-ups at its
    /// receiver, which are the dearer ones. Pooled ones are told by it from those that have grown: it is no size that doubling leads to.
    public static let bulkBytes = 112 * 1024
    /// How many buffers are kept for the next borrower.
    private static let maximumKept = 256
    /// How many buffers for bulk there are at the most; who comes later has to do with one of the usual size.
    private static let maximumBulk = 64
    /// How many of those are kept for the next borrower.
    private static let maximumBulkKept = 8

    private let kept = StorageShelf(maximum: maximumKept)
    private let keptForBulk = StorageShelf(maximum: maximumBulkKept)
    /// Buffers next to without storage, to be taken as a whole.
    private let shells = Shelf(maximum: maximumKept)
    /// How many buffers for bulk there are, lent or kept.
    private var bulkCount = 0

    public func take() -> ByteBuffer {
        let buffer = shells.take() ?? ByteBuffer(capacity: 16)
        furnish(buffer)
        return buffer
    }

    /// Gives an empty buffer with little room the storage of a pooled one, the last used first: what is in use by turns stays in
    /// the processor's caches and translation tables, however many exchanges wait.
    public func furnish(_ buffer: ByteBuffer) {
        guard buffer.capacity < Self.bufferBytes, buffer.isEmpty, !kept.lend(to: buffer) else { return }
        buffer.exchangeStorage(with: ByteBuffer(capacity: Self.bufferBytes))
    }

    /// Gives an empty buffer of the usual size or less the storage of one for bulk; while all of those are lent, as ``furnish(_:)`` does. It is to be given back
    /// by ``strip(_:)`` or ``shrink(_:)``.
    public func furnishForBulk(_ buffer: ByteBuffer) {
        guard buffer.capacity <= Self.bufferBytes, buffer.isEmpty else { return }
        strip(buffer)
        guard !keptForBulk.lend(to: buffer) else { return }
        guard bulkCount < Self.maximumBulk else { return furnish(buffer) }
        bulkCount += 1
        buffer.exchangeStorage(with: ByteBuffer(capacity: Self.bulkBytes))
    }

    /// Takes the storage back from a buffer that ``furnish(_:)`` or ``furnishForBulk(_:)`` gave it to, where nothing is in it.
    public func strip(_ buffer: ByteBuffer) {
        guard buffer.isEmpty else { return }
        switch buffer.capacity {
        case Self.bufferBytes: guard !kept.take(from: buffer) else { return }
        case Self.bulkBytes:
            guard !keptForBulk.take(from: buffer) else { return }
            bulkCount -= 1
        default: return
        }
        buffer.exchangeStorage(with: ByteBuffer(capacity: 16))
    }

    /// Puts a buffer for bulk, and what is in it, on storage of the usual size.
    public func shrink(_ buffer: ByteBuffer) {
        guard buffer.capacity == Self.bulkBytes else { return }
        let usual = take()
        usual.append(buffer.bytes)
        buffer.clear()
        strip(buffer)
        usual.moveAll(to: buffer)
        give(usual)
    }

    /// Takes back a buffer. One that has grown is let go, so that one large message doesn't stay in memory for good.
    public func give(_ buffer: consuming ByteBuffer) {
        buffer.clear()
        strip(buffer)
        if buffer.capacity < Self.bufferBytes { _ = shells.give(buffer) }
    }
}

/// Buffers that are not lent. They are taken out while they change, as in the ``EventLoop``.
private final class Shelf {
    private let maximum: Int
    private var buffers: [ByteBuffer] = []

    init(maximum: Int) { self.maximum = maximum }

    /// The one that was given last.
    func take() -> ByteBuffer? {
        var buffers = exchange(&self.buffers, with: [])
        defer { self.buffers = buffers }
        return buffers.popLast()
    }

    /// - Returns: false where there are as many as are kept.
    func give(_ buffer: ByteBuffer) -> Bool {
        guard buffers.count < maximum else { return false }
        var buffers = exchange(&self.buffers, with: [])
        buffers.append(buffer)
        self.buffers = buffers
        return true
    }
}
