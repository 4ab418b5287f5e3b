import Logging
import Synchronization

/// A program's diagnostics, on standard error. All copies of a logger made with this have one level, so that a reload may change it.
public struct DiagnosticsLog: LogHandler {
    private final class SharedLevel: Sendable {
        let current = Mutex(Logger.Level.info)
    }

    private let level = SharedLevel()
    private var output: StreamLogHandler

    public init(label: String) {
        output = StreamLogHandler.standardError(label: label)
        output.logLevel = .trace
    }

    public var logLevel: Logger.Level {
        get { level.current.withLock { $0 } }
        set { level.current.withLock { $0 = newValue } }
    }

    public var metadata: Logger.Metadata {
        get { output.metadata }
        set { output.metadata = newValue }
    }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { output[metadataKey: key] }
        set { output[metadataKey: key] = newValue }
    }

    public func log(event: LogEvent) { output.log(event: event) }
}
