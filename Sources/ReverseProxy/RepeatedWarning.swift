import EventLoop
import Logging

/// Says what happens to requests or connections, once a second at the most however many there are.
final class RepeatedWarning {
    private static let quietMilliseconds: Int64 = 1000

    private let loop: EventLoop
    private let logger: Logger
    private let what: String
    private var quietUntil: Int64 = 0
    private var unsaid = 0

    /// - Parameter what: happened, as in `answered 503`.
    init(_ what: String, loop: EventLoop, logger: Logger) {
        self.what = what
        self.loop = loop
        self.logger = logger
    }

    func note(_ why: String) {
        guard loop.nowMilliseconds >= quietUntil else {
            unsaid += 1
            return
        }
        logger.warning("\(what): \(why)\(unsaid > 0 ? " (and \(unsaid) more)" : "")")
        quietUntil = loop.nowMilliseconds + Self.quietMilliseconds
        unsaid = 0
    }
}
