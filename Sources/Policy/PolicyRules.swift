/// The rules that requests are judged by. A class, so that the many evaluations under way share one.
public final class PolicyRules: Sendable {
    /// How many requests a user has in a window.
    public let limit: Int
    public let window: Window
    let denials: Denials

    public init(limit: Int = 100, windowSeconds: Int = 60) {
        self.limit = limit
        window = Window(lengthSeconds: windowSeconds)
        denials = Denials(limit: limit, windowSeconds: windowSeconds)
    }

    /// The denial of a request whose description could not be read.
    public var checkMalformed: Decision { Decision(.checkMalformed, denial: denials.checkMalformed) }

    /// The denial where the daemon itself went wrong.
    public var internalFailure: Decision { Decision(.internalFailure, denial: denials.internalFailure) }

    /// The denial in place of a verdict that doesn't fit into what the asker accepts.
    public var verdictTooLarge: Decision { Decision(.verdictTooLarge, denial: denials.internalFailure) }
}
