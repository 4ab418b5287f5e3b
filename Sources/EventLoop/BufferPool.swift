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

    private let kept = Shelf(maximum: maximumKept)
    /// Buffers whose storage has been lent to others: small ones.
    private let shells = Shelf(maximum: maximumKept)
    private let keptForBulk = Shelf(maximum: maximumBulkKept)
    /// How many buffers for bulk there are, lent or kept.
    private var bulkCount = 0

    public func take() -> ByteBuffer { kept.take() ?? ByteBuffer(capacity: Self.bufferBytes) }

    /// Gives an empty buffer with little room the storage of a pooled one, the last used first: what is in use by turns stays in
    /// the processor's caches and translation tables, however many exchanges wait.
    public func furnish(_ buffer: ByteBuffer) {
        guard buffer.capacity < Self.bufferBytes, buffer.isEmpty else { return }
        lend(take(), to: buffer)
    }

    /// Gives an empty buffer of the usual size or less the storage of one for bulk; while all of those are lent, as ``furnish(_:)`` does. It is to be given back
    /// by ``strip(_:)`` or ``shrink(_:)``.
    public func furnishForBulk(_ buffer: ByteBuffer) {
        guard buffer.capacity <= Self.bufferBytes, buffer.isEmpty else { return }
        strip(buffer)
        if let lender = keptForBulk.take() { return lend(lender, to: buffer) }
        guard bulkCount < Self.maximumBulk else { return furnish(buffer) }
        bulkCount += 1
        lend(ByteBuffer(capacity: Self.bulkBytes), to: buffer)
    }

    private func lend(_ lender: consuming ByteBuffer, to buffer: ByteBuffer) {
        buffer.exchangeStorage(with: lender)
        _ = shells.give(lender)
    }

    /// Takes the storage back from a buffer that ``furnish(_:)`` or ``furnishForBulk(_:)`` gave it to, where nothing is in it.
    public func strip(_ buffer: ByteBuffer) {
        guard buffer.capacity == Self.bufferBytes || buffer.capacity == Self.bulkBytes, buffer.isEmpty else { return }
        let shell = shells.take() ?? ByteBuffer(capacity: 16)
        buffer.exchangeStorage(with: shell)
        give(shell)
    }

    /// Puts a buffer for bulk, and what is in it, on storage of the usual size.
    public func shrink(_ buffer: ByteBuffer) {
        guard buffer.capacity == Self.bulkBytes else { return }
        let usual = take()
        usual.append(buffer.bytes)
        buffer.clear()
        strip(buffer)
        usual.moveAll(to: buffer)
    }

    /// Takes back a buffer. One that has grown is let go, so that one large message doesn't stay in memory for good.
    public func give(_ buffer: consuming ByteBuffer) {
        buffer.clear()
        switch buffer.capacity {
        case Self.bufferBytes: _ = kept.give(buffer)
        case Self.bulkBytes: if !keptForBulk.give(buffer) { bulkCount -= 1 }
        default: break
        }
    }
}

/// Buffers that are not lent, as many of them as there are places: they come and go without being counted.
@safe private final class Shelf {
    private let places: UnsafeMutableBufferPointer<Unmanaged<ByteBuffer>>
    private var count = 0

    init(maximum: Int) { unsafe places = .allocate(capacity: maximum) }

    deinit {
        while take() != nil {}
        unsafe places.deallocate()
    }

    /// The one that was given last.
    func take() -> ByteBuffer? {
        guard count > 0 else { return nil }
        count -= 1
        return unsafe places[count].takeRetainedValue()
    }

    /// - Returns: false where there are as many as are kept.
    func give(_ buffer: consuming ByteBuffer) -> Bool {
        guard count < places.count else { return false }
        unsafe places.initializeElement(at: count, to: .passRetained(buffer))
        count += 1
        return true
    }
}
