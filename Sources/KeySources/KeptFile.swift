import EventLoop
import Logging
import Synchronization

/// What is kept of a file.
final class KeptFile<Value: Sendable>: Sendable {
    private static var pauseMilliseconds: Int64 { 1000 }

    let kept: Kept<Value>
    /// Locked by the keeper's thread alone, once there is one.
    private let file: Mutex<WatchedFile>

    init(_ kept: Kept<Value>, path: String, maximumBytes: Int) {
        self.kept = kept
        file = Mutex(WatchedFile(path: path, maximumBytes: maximumBytes))
    }

    /// Looks at the file now.
    ///
    /// - Returns: why it can't be used now; nil where it was found good, or as it was.
    @discardableResult
    func look(atMilliseconds now: Int64) -> UnusableKeySource? {
        kept.begin()
        let found = file.withLock { file in
            Result { () throws(UnusableKeySource) in try file.look(nowUnixMilliseconds: Clock.unixMilliseconds()) }
        }
        return kept.end(found, atMilliseconds: now) { _ in Self.pauseMilliseconds }
    }
}
