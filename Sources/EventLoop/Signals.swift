import CLinux

/// The signals a process takes in its main thread, one at a time, in ordinary code.
public struct Signals: Sendable {
    public static let terminate = SIGTERM
    public static let interrupt = SIGINT
    public static let hangUp = SIGHUP
    public static let user1 = SIGUSR1
    public static let user2 = SIGUSR2

    private let taken: [Int32]

    /// Blocks `signals` in this thread and in those it starts from now on, so call it first of all.
    public init(taking signals: [Int32]) {
        taken = signals
        unsafe linux_block_signals(signals, Int32(signals.count))
        // A peer that has gone is an error of the call that writes to it, not the end of the process.
        linux_ignore_broken_pipes()
    }

    /// Waits for one of them and returns it.
    public func wait() -> Int32 { unsafe linux_wait_signal(taken, Int32(taken.count)) }

    /// Has the thread that waits take `signal`, as if another process had sent it.
    public static func raise(_ signal: Int32) { kill(getpid(), signal) }
}
