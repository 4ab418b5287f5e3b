import Bytes
import Synchronization

/// All metrics of a process: what is declared, what each worker has counted, and how that is shown.
///
/// Workers count in blocks of their own (``WorkerMetrics``), without locks; showing sums the blocks up. A new configuration
/// declares all families anew: a series that was there before, with the same name and labels, goes on counting.
public final class MetricRegistry: Sendable {
    /// How many numbers may be declared, a latency histogram's being ``LatencyBuckets/cellCount``. 8 bytes a worker each.
    public static let defaultCapacity = 8192

    private struct State {
        var cells: MetricCells
        var families: [MetricFamily] = []
        var workers: [WorkerMetrics] = []

        func sum(_ cell: Int) -> Int { workers.reduce(0) { $0 &+ $1.cells[cell] } }
    }

    private let state: Mutex<State>
    private let capacity: Int

    public init(capacity: Int = defaultCapacity) {
        self.capacity = capacity
        state = Mutex(State(cells: MetricCells(capacity: capacity)))
    }

    /// A block for one more worker, or for another thread that counts. It is summed up for as long as the registry is there.
    public func makeWorkerMetrics() -> WorkerMetrics {
        let worker = WorkerMetrics(capacity: capacity)
        state.withLock { $0.workers.append(worker) }
        return worker
    }

    /// Declares the families of a configuration in place of those before, whose handles may be used until the next time.
    ///
    /// - Parameter declare: declares every family and returns the handles.
    /// - Throws: what `declare` throws; everything then stays as it was.
    public func declare<Handles: Sendable>(
        _ declare: (inout MetricDeclarations) throws(UnfitMetrics) -> Handles
    ) throws(UnfitMetrics) -> Handles {
        try state.withLock { state throws(UnfitMetrics) in
            var cells = state.cells
            cells.begin(state.sum)
            var declarations = MetricDeclarations(cells)
            let handles = try declare(&declarations)
            cells = declarations.cells
            cells.end(state.sum)
            state.cells = cells
            state.families = declarations.families
            return handles
        }
    }

    /// Appends everything in the Prometheus text format (``PrometheusText``).
    public func write(to buffer: ByteBuffer) {
        // Asking the readings under the lock would let one that declares or shows metrics wait for itself.
        let state = state.withLock { $0 }
        for family in state.families {
            let totals = if case .workers = family.source { state.cells.totals(of: family.name, state.sum) } else { [] as [[Int]] }
            PrometheusText.write(family, totals, to: buffer)
        }
    }
}
