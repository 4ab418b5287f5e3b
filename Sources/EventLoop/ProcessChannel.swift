import CLinux

/// A connection between a process and its successor, by which each gives the other a word: of one byte, and the same each time.
public final class ProcessChannel: Sendable {
    /// What waiting for the word came to.
    public enum Received: Sendable {
        case word
        /// The other end is closed, or the other process has ended.
        case ended
        case late
    }

    let descriptor: Int32

    /// Takes over `descriptor`, a connected socket.
    init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Both ends of a new one.
    public static func pair() throws(SystemError) -> (ProcessChannel, ProcessChannel) {
        var ends: [Int32] = [-1, -1]
        try unsafe SystemError.check(linux_socket_pair(&ends), "socketpair")
        return (ProcessChannel(ends[0]), ProcessChannel(ends[1]))
    }

    /// Gives the word; false where nobody is there for it.
    @discardableResult
    public func send() -> Bool {
        var word: UInt8 = 1
        return unsafe linux_send(descriptor, &word, 1) == 1
    }

    /// Waits for the word, for any time where none is named. Blocks.
    ///
    /// - Parameter process: the other one. Its end need not be that of the connection: a child of its own may have that too.
    public func receive(from process: StartedProcess? = nil, milliseconds: Int64?) -> Received {
        let start = Clock.monotonicNanoseconds()
        var word: UInt8 = 0
        while true {
            let passed = (Clock.monotonicNanoseconds() - start) / 1_000_000
            let left = milliseconds.map { Int32(clamping: max($0 - passed, 0)) } ?? -1
            let found = linux_await_readable(descriptor, process?.handle ?? -1, left)
            if found == -EINTR { continue }
            guard found != 0 else { return .late }
            return unsafe linux_receive_now(descriptor, &word, 1) == 1 ? .word : .ended
        }
    }

    /// What a process is to be started with to have this end.
    public var toPass: PassedDescriptor { PassedDescriptor(descriptor, name: PassedDescriptors.channelName) }
}
