import Synchronization

/// The workers of a daemon, and how many connections each of them has.
///
/// A proxy keeps one connection for each of its own workers, and the kernel wakes the same idle acceptor each time. So a
/// worker that is woken leaves the connection to the one with the fewest.
final class Crew: Sendable {
    private struct State {
        var workers: [DaemonWorker] = []
        var connectionCounts: [Int] = []
    }

    private let state = Mutex(State())
    let maximumConnections: Int

    /// - Parameter maximumConnections: of all workers together.
    init(maximumConnections: Int) { self.maximumConnections = maximumConnections }

    /// Takes a worker in; workers join in the order of their indices.
    func join(_ worker: DaemonWorker) {
        state.withLock {
            $0.workers.append(worker)
            $0.connectionCounts.append(0)
        }
    }

    /// The worker with the fewest connections, where it has fewer than the one at `index`.
    func worker(lessLoadedThan index: Int) -> DaemonWorker? {
        state.withLock { state in
            let counts = state.connectionCounts
            guard let least = counts.indices.min(by: { counts[$0] < counts[$1] }), counts[least] < counts[index] else {
                return nil
            }
            return state.workers[least]
        }
    }

    /// Counts a new connection of the worker at `index`; false where there are as many as there may be.
    func admitConnection(at index: Int) -> Bool {
        state.withLock { state in
            guard state.connectionCounts.reduce(0, +) < maximumConnections else { return false }
            state.connectionCounts[index] += 1
            return true
        }
    }

    func connectionEnded(at index: Int) { state.withLock { $0.connectionCounts[index] -= 1 } }

    /// How many connections each worker has.
    var counts: [Int] { state.withLock { $0.connectionCounts } }

    /// Lets go of the workers, which hold the crew in turn.
    func disband() { state.withLock { $0.workers = [] } }
}
