import CLinux
import Synchronization

/// Where one thread waits until others have come so far.
public final class Latch: Sendable {
    private let missing: Atomic<Int>
    private let opened: Int32

    /// - Parameter count: how many arrivals it takes, one at least.
    public init(_ count: Int) throws(SystemError) {
        missing = Atomic(count)
        opened = try SystemError.check(linux_blocking_eventfd(), "eventfd")
    }

    deinit { close(opened) }

    /// One more is there.
    public func arrive() {
        if missing.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { linux_eventfd_signal(opened) }
    }

    /// Waits until all are there. Once.
    public func wait() { linux_eventfd_clear(opened) }
}
