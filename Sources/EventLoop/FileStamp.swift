import Glibc

/// By what a change of a file is noticed. The change time too, since making a file readable moves nothing else.
public struct FileStamp: Sendable, Equatable {
    private let device: UInt
    private let inode: UInt
    private let size: Int
    private let modifiedNanoseconds: Int64
    private let changedNanoseconds: Int64

    /// That of the file at `path`; nil where there is none to be seen. Blocks.
    public init?(path: String) {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        self.init(status)
    }

    public init(_ status: stat) {
        device = status.st_dev
        inode = status.st_ino
        size = status.st_size
        modifiedNanoseconds = Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec)
        changedNanoseconds = Int64(status.st_ctim.tv_sec) * 1_000_000_000 + Int64(status.st_ctim.tv_nsec)
    }

    /// Two writes within one tick of the file system's clock carry the same time. So a file that has changed just now
    /// is not known by its stamp yet.
    public func isSettled(atUnixMilliseconds now: Int64) -> Bool { now - changedNanoseconds / 1_000_000 > 1000 }
}
