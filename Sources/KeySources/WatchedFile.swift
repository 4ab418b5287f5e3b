import EventLoop
import Glibc

/// A file that is looked at again and again, and read when it has changed.
struct WatchedFile: Sendable {
    let path: String
    let maximumBytes: Int
    /// What was found by the last look; nil before the first, and while there is no file.
    private var stamp: FileStamp?

    init(path: String, maximumBytes: Int) {
        self.path = path
        self.maximumBytes = maximumBytes
    }

    /// - Returns: the bytes; nil where the file is as the last look found it, good or not.
    /// - Throws: ``UnusableKeySource`` where the file can't be read, at each look anew for as long as there is none.
    mutating func look(nowUnixMilliseconds: Int64) throws(UnusableKeySource) -> [UInt8]? {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { throw failure() }
        if FileStamp(status) == stamp { return nil }
        // Without O_NONBLOCK, opening a FIFO would wait for its writer.
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw failure(at: FileStamp(status)) }
        defer { close(descriptor) }
        guard unsafe fstat(descriptor, &status) == 0 else { throw failure() }
        // The stamp from before the reading: what is written meanwhile is then seen by the next look.
        let found = FileStamp(status)
        stamp = found.isSettled(atUnixMilliseconds: nowUnixMilliseconds) ? found : nil
        guard status.st_mode & S_IFMT == S_IFREG else { throw UnusableKeySource("\(path) is no regular file") }
        return try read(descriptor)
    }

    private func read(_ descriptor: Int32) throws(UnusableKeySource) -> [UInt8] {
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = unsafe Glibc.read(descriptor, &piece, piece.count)
            if count == 0 { return bytes }
            guard count > 0 else { throw UnusableKeySource("\(path) cannot be read: \(SystemError.text(of: errno))") }
            bytes += piece[..<count]
            guard bytes.count <= maximumBytes else {
                throw UnusableKeySource("\(path) is longer than the \(maximumBytes) bytes that are accepted")
            }
        }
    }

    private mutating func failure(at found: FileStamp? = nil) -> UnusableKeySource {
        let code = errno
        stamp = found
        return UnusableKeySource("\(path) cannot be read: \(SystemError.text(of: code))")
    }
}
