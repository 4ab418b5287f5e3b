import HTTPMessage

/// What an admin client may take.
public struct AdminLimits: Sendable {
    /// Connections at once. One more takes the place of the one that has been idle longest.
    public var connections = 16
    /// From the first byte of a request until its head is there.
    public var headMilliseconds: Int64 = 5_000
    /// Between two requests.
    public var idleMilliseconds: Int64 = 90_000
    /// For the answer to be made. Beyond it the answer is 503, whatever comes of it.
    public var answerMilliseconds: Int64 = 10_000
    /// For an answer to be taken.
    public var sendMilliseconds: Int64 = 10_000
    /// For a client that is refused to read why.
    public var lingerMilliseconds: Int64 = 1_000
    /// For what is in flight when the listener stops.
    public var drainMilliseconds: Int64 = 2_000
    /// 8 KiB in all.
    public var head: HeadLimits = {
        var limits = HeadLimits()
        limits.requestLineBytes = 2_048
        limits.headerBytes = 6_144
        limits.headerCount = 64
        return limits
    }()
    /// How long accepting rests when no descriptor is left.
    public var acceptPauseMilliseconds: Int64 = 100
    /// What a client that is refused may still send.
    public var lingerBytes = 64 * 1024

    public init() {}
}
