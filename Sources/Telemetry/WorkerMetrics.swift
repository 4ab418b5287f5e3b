import EventLoop

/// What one worker counts: a block of cells of its own, to which nothing else writes. Made by ``MetricRegistry/makeWorkerMetrics()``.
///
/// Every call is for that worker's thread alone, costs a few instructions, and allocates nothing. An index outside its family traps.
public final class WorkerMetrics: Sendable {
    let cells: AtomicCells

    init(capacity: Int) { cells = AtomicCells(count: capacity) }

    /// Counts `amount`, 0 at least, in the family's series at `index`.
    public func count(_ family: CounterFamily, _ index: Int = 0, amount: Int = 1) {
        cells.add(amount, at: Self.cell(index, of: family.cells))
    }

    /// Changes this worker's part of the family's series at `index`.
    public func add(_ amount: Int, to family: GaugeFamily, _ index: Int = 0) {
        cells.add(amount, at: Self.cell(index, of: family.cells))
    }

    /// Sets this worker's part of the family's series at `index`.
    public func set(_ family: GaugeFamily, _ index: Int = 0, to number: Int) {
        cells.set(number, at: Self.cell(index, of: family.cells))
    }

    /// Notes that something took `nanoseconds`, in the family's series at `index`. Less than 0 is taken for 0.
    public func observe(nanoseconds: Int64, in family: LatencyFamily, _ index: Int = 0) {
        let first = Self.cell(index * LatencyBuckets.cellCount, of: family.cells)
        cells.add(1, at: first + LatencyBuckets.index(nanoseconds: nanoseconds))
        cells.add(Int(max(nanoseconds, 0)), at: first + LatencyBuckets.sumOffset)
    }

    private static func cell(_ offset: Int, of cells: Range<Int>) -> Int {
        precondition(offset >= 0 && offset < cells.count, "the family has no such series")
        return cells.lowerBound + offset
    }
}
