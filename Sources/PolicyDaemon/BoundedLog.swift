import Logging

/// Log lines that a client can cause, no more than some a second; what was left out is told with the next line.
struct BoundedLog {
    private let logger: Logger
    private let linesPerSecond: Int
    private var second = Int64.min
    private var linesThisSecond = 0
    private var leftOut = 0

    init(_ logger: Logger, linesPerSecond: Int) {
        self.logger = logger
        self.linesPerSecond = linesPerSecond
    }

    /// - Parameter nowMilliseconds: on any clock that doesn't go back.
    mutating func log(_ level: Logger.Level, nowMilliseconds: Int64, _ message: @autoclosure () -> String) {
        guard level >= logger.logLevel else { return }
        if nowMilliseconds / 1000 != second {
            second = nowMilliseconds / 1000
            linesThisSecond = 0
        }
        guard linesThisSecond < linesPerSecond else {
            leftOut += 1
            return
        }
        linesThisSecond += 1
        let suffix = leftOut > 0 ? " (\(leftOut) lines were left out before)" : ""
        leftOut = 0
        logger.log(level: level, "\(message())\(suffix)")
    }
}
