import Synchronization

/// Numbers that one thread changes and any thread reads: what a worker counts.
///
/// Since nobody else writes them, a change is a plain load and a plain store, without a locked instruction. Two threads that
/// changed one cell would lose some of what they count, and no more than that.
@safe public final class AtomicCells: Sendable {
    /// A cache line, and the one that the processor fetches with it: what one worker writes shares none with another's.
    private static let alignmentBytes = 128

    @usableFromInline nonisolated(unsafe) let cells: UnsafeMutablePointer<Atomic<Int>>
    public let count: Int

    /// - Parameter count: how many there are, each 0.
    public init(count: Int) {
        self.count = count
        let cellBytes = MemoryLayout<Atomic<Int>>.stride
        let byteCount = (count * cellBytes + Self.alignmentBytes - 1) / Self.alignmentBytes * Self.alignmentBytes
        unsafe cells = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: Self.alignmentBytes)
            .bindMemory(to: Atomic<Int>.self, capacity: count)
        for index in 0..<count { unsafe (cells + index).initialize(to: Atomic(0)) }
    }

    deinit {
        unsafe cells.deinitialize(count: count)
        unsafe UnsafeMutableRawPointer(cells).deallocate()
    }

    /// From any thread. Traps outside `0..<count`.
    @inlinable public subscript(index: Int) -> Int {
        precondition(index >= 0 && index < count, "there is no such cell")
        return unsafe cells[index].load(ordering: .relaxed)
    }

    /// From the one thread whose cells these are. Traps outside `0..<count`.
    @inlinable public func add(_ amount: Int, at index: Int) { set(self[index] &+ amount, at: index) }

    /// From the one thread whose cells these are. Traps outside `0..<count`.
    @inlinable public func set(_ number: Int, at index: Int) {
        precondition(index >= 0 && index < count, "there is no such cell")
        unsafe cells[index].store(number, ordering: .relaxed)
    }
}
