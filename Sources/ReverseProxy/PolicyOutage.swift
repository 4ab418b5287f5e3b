import EventLoop
import Logging

/// Says why requests are answered 503, once a second at the most however many there are.
final class PolicyOutage {
    private static let quietMilliseconds: Int64 = 1000

    private let loop: EventLoop
    private let logger: Logger
    private var quietUntil: Int64 = 0
    private var unsaid = 0

    init(loop: EventLoop, logger: Logger) {
        self.loop = loop
        self.logger = logger
    }

    func note(_ why: String) {
        guard loop.nowMilliseconds >= quietUntil else {
            unsaid += 1
            return
        }
        logger.warning("answered 503: \(why)\(unsaid > 0 ? " (and \(unsaid) more)" : "")")
        quietUntil = loop.nowMilliseconds + Self.quietMilliseconds
        unsaid = 0
    }
}
