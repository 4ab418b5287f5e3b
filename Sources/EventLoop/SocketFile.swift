import CLinux
import Synchronization

/// The file of a listening Unix socket, and the lock beside it, by which one process at a time has it, or one and its successor.
final class SocketFile: Sendable {
    let path: String
    /// The descriptor of the lock. A successor is handed it: the lock is held until all who have it have closed it (flock(2)).
    let lock: Int32
    /// Whether the file goes when this process stops listening.
    private let isOurs: Atomic<Bool>

    /// Holds `path` + ".lock" (so that of two daemons starting at once one wins), then removes a socket nobody answers on.
    init(claiming path: String, address: SocketAddress) throws(SystemError) {
        self.path = path
        isOurs = Atomic(true)
        try Self.makeDirectory(of: path)
        lock = try Self.lock(Self.lockPath(of: path), for: path)
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

    /// The file of a socket that was handed over with its lock. It is the predecessor's until ``take()``.
    init(_ path: String, lock: Int32) {
        self.path = path
        self.lock = lock
        isOurs = Atomic(false)
    }

    static func lockPath(of path: String) -> String { path + ".lock" }

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

    /// The file is this process's from now on.
    func take() { isOurs.store(true, ordering: .relaxed) }

    /// The file is the successor's from now on.
    func handOver() { isOurs.store(false, ordering: .relaxed) }

    /// Removes the socket; the lock file stays (removing it would let two processes hold two locks of one name).
    func release() {
        if isOurs.load(ordering: .relaxed) { unsafe unlink(path) }
        close(lock)
    }
}
