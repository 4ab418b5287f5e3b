import CLinux

/// A listening socket, opened once and shared by all workers: each takes its own ``Acceptor`` from it.
///
/// Shared rather than SO_REUSEPORT: a second instance would else share the port unnoticed, closing one listener would reset
/// what is queued on it, and Unix sockets don't have it.
public final class Listener: Sendable {
    let descriptor: Int32
    /// Where it listens; the port is the real one also where 0 was asked for.
    public let address: SocketAddress
    private let unixPath: UnixPath?

    private init(descriptor: Int32, address: SocketAddress, unixPath: UnixPath?) {
        self.descriptor = descriptor
        self.address = address
        self.unixPath = unixPath
    }

    deinit {
        close(descriptor)
        unixPath?.remove()
    }

    /// Listens on an IP address and port.
    public static func tcp(_ address: SocketAddress, backlog: Int32 = 1024) throws(SystemError) -> Listener {
        let descriptor = try SystemError.check(linux_socket(address.family), "socket")
        // A restarted gateway must not wait for its old connections' TIME_WAIT.
        _ = linux_set_option(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
        let bound = try bind(descriptor, to: address, backlog: backlog, call: "listen on \(address)")
        return Listener(descriptor: descriptor, address: bound, unixPath: nil)
    }

    /// Listens on a Unix socket of the given mode. A stale socket is replaced; one that answers is not stolen.
    public static func unix(path: String, mode: mode_t, backlog: Int32 = 1024) throws(SystemError) -> Listener {
        let address = try SocketAddress.unix(path: path)
        let unixPath = try UnixPath(claiming: path, address: address)
        let descriptor = try SystemError.check(linux_socket(AF_UNIX), "socket")
        // Bound under a mask that admits nobody, and opened by chmod only then: at no moment is it wider than asked.
        let mask = umask(0o777)
        defer { umask(mask) }
        let bound = try bind(descriptor, to: address, backlog: backlog, call: "listen on \(path)")
        try unsafe SystemError.check(linux_chmod(path, mode), "chmod \(path)")
        return Listener(descriptor: descriptor, address: bound, unixPath: unixPath)
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

/// The path of a Unix socket that this process owns, for as long as it holds the lock beside it.
private struct UnixPath: Sendable {
    let path: String
    private let lock: Int32

    /// Holds `path` + ".lock" (so that of two daemons starting at once one wins), then removes a socket nobody answers on.
    init(claiming path: String, address: SocketAddress) throws(SystemError) {
        self.path = path
        try Self.makeDirectory(of: path)
        lock = try Self.lock(path + ".lock", for: path)
        switch unsafe linux_socket_file(path) {
        case 0: return
        case 1: break
        default:
            close(lock)
            throw SystemError("\(path) is there and is no socket", code: EEXIST)
        }
        // Asked with a connection, since the owner may be a program that knows nothing of the lock.
        let probe = try SystemError.check(linux_socket(AF_UNIX), "socket")
        defer { close(probe) }
        var storage = address.storage
        let result = unsafe linux_connect(probe, &storage, address.length)
        guard result == -ECONNREFUSED || result == -ENOENT else {
            close(lock)
            throw SystemError("\(path) is in use by another process", code: EADDRINUSE)
        }
        unsafe unlink(path)
    }

    /// Makes the one directory that the socket stands in, where it is missing: the runtime directory's `gatehouse`, by default.
    private static func makeDirectory(of path: String) throws(SystemError) {
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return }
        let directory = String(path[..<slash])
        let result = unsafe linux_make_directory(directory, 0o755)
        guard result == 0 || result == -EEXIST else { throw SystemError("make the directory \(directory)", code: -result) }
    }

    private static func lock(_ lockPath: String, for path: String) throws(SystemError) -> Int32 {
        let descriptor = try unsafe SystemError.check(linux_open_lock(lockPath), "open \(lockPath)")
        guard linux_lock(descriptor) == 0 else {
            close(descriptor)
            throw SystemError("\(path) is in use by another process", code: EADDRINUSE)
        }
        return descriptor
    }

    /// Removes the socket; the lock file stays (removing it would let two processes hold two locks of one name).
    func remove() {
        unsafe unlink(path)
        close(lock)
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
