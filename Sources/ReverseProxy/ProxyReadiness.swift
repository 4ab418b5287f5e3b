import Synchronization
import Telemetry

/// Whether the proxy can serve requests: every worker has a policy daemon to ask, and no drain has begun.
final class ProxyReadiness: Sendable {
    private let speechless: Atomic<Int>
    private let isDraining = Atomic(false)

    /// - Parameter workers: how many there are, none of which has a daemon yet.
    init(workers: Int) { speechless = Atomic(workers) }

    /// A worker that had no daemon has one now, or the other way round.
    func note(canAsk: Bool) { speechless.add(canAsk ? -1 : 1, ordering: .relaxed) }

    func noteDrain() { isDraining.store(true, ordering: .relaxed) }

    /// `GET /ready`.
    var route: AdminRoute {
        .ready { [self] in
            if isDraining.load(ordering: .relaxed) { return "draining" }
            return speechless.load(ordering: .relaxed) > 0 ? "no policy daemon answers" : nil
        }
    }
}
