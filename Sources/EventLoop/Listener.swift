import CLinux

/// A listening socket, opened once and shared by all workers: each takes its own ``Acceptor`` from it.
///
/// Shared rather than SO_REUSEPORT: a second instance would else share the port unnoticed, closing one listener would reset
/// what is queued on it, and Unix sockets don't have it.
public final class Listener: Sendable {
    /// How many clients the kernel keeps for it until they are accepted.
    public static let usualBacklog: Int32 = 1024

    let descriptor: Int32
    /// Where it listens; the port is the real one also where 0 was asked for.
    public let address: SocketAddress
    /// The file of a Unix socket that this process has made, or was handed.
    let file: SocketFile?

    /// Takes over `descriptor`, a non-blocking socket that listens on `address`.
    init(descriptor: Int32, address: SocketAddress, file: SocketFile?) {
        self.descriptor = descriptor
        self.address = address
        self.file = file
    }

    deinit {
        close(descriptor)
        file?.release()
    }

    /// Listens on an IP address and port.
    public static func tcp(_ address: SocketAddress, backlog: Int32 = Listener.usualBacklog) throws(SystemError) -> Listener {
        let descriptor = try SystemError.check(linux_socket(address.family), "socket")
        // A restarted gateway must not wait for its old connections' TIME_WAIT.
        _ = linux_set_option(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
        let bound = try bind(descriptor, to: address, backlog: backlog, call: "listen on \(address)")
        return Listener(descriptor: descriptor, address: bound, file: nil)
    }

    /// Listens on a Unix socket of the given mode. A stale socket is replaced; one that answers is not stolen.
    public static func unix(path: String, mode: mode_t, backlog: Int32 = Listener.usualBacklog) throws(SystemError) -> Listener {
        let address = try SocketAddress.unix(path: path)
        let file = try SocketFile(claiming: path, address: address)
        let descriptor = try SystemError.check(linux_socket(AF_UNIX), "socket")
        // Bound under a mask that admits nobody, and opened by chmod only then: at no moment is it wider than asked.
        let mask = umask(0o777)
        defer { umask(mask) }
        let bound = try bind(descriptor, to: address, backlog: backlog, call: "listen on \(path)")
        try unsafe SystemError.check(linux_chmod(path, mode), "chmod \(path)")
        return Listener(descriptor: descriptor, address: bound, file: file)
    }

    private static func bind(
        _ descriptor: Int32, to address: SocketAddress, backlog: Int32, call: String
    ) throws(SystemError) -> SocketAddress {
        var storage = address.storage
        var length = address.length
        do throws(SystemError) {
            try unsafe SystemError.check(linux_bind(descriptor, &storage, length), call)
            try SystemError.check(linux_listen(descriptor, backlog), call)
            length = socklen_t(MemoryLayout<linux_address>.size)
            try unsafe SystemError.check(linux_local_address(descriptor, &storage, &length), call)
        } catch {
            close(descriptor)
            throw error
        }
        return SocketAddress(storage: storage, length: length)
    }
}

/// One worker's side of a ``Listener``.
public final class Acceptor {
    private let listener: Listener
    private let socket: Socket

    public init(_ listener: Listener, on waiter: Waiter) throws(SystemError) {
        self.listener = listener
        socket = try Socket(loop: waiter.loop, listening: listener.descriptor)
        socket.waiter = waiter
    }

    /// What one attempt to accept came to.
    public enum Accepted {
        case connection(Socket, SocketAddress)
        case none
        /// No descriptor or memory left for it: try again after a pause.
        case exhausted(SystemError)
    }

    /// Whether an accept is worth trying; else park until the waiter is woken.
    public var mayAccept: Bool { socket.isReadable }

    /// Takes one connection off the queue, if there is one.
    public func accept() -> Accepted {
        while true {
            var storage = linux_address()
            var length = socklen_t(MemoryLayout<linux_address>.size)
            let result = unsafe linux_accept(socket.descriptor, &storage, &length)
            switch result {
            case 0...:
                let address = SocketAddress(storage: storage, length: length)
                if !address.isUnix { _ = linux_set_option(result, Int32(IPPROTO_TCP), TCP_NODELAY, 1) }
                do {
                    return .connection(try Socket(loop: socket.loop, descriptor: result), address)
                } catch {
                    return .exhausted(error)
                }
            case -EAGAIN:
                socket.foundNothing()
                return .none
            case -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM:
                return .exhausted(SystemError("accept", code: -result))
            default:
                continue   // the one connection failed (ECONNABORTED and its kind, accept(2)); the next may not have
            }
        }
    }

    /// Stops listening on this worker. Take what is queued first.
    public func close() { socket.close() }
}
