/// What one client may take of a session. Whatever exceeds one of these ends the stream or the connection, as it says there.
public struct SessionLimits: Sendable {
    /// Requests open at one time; a further stream is refused.
    public var concurrentStreams = 256
    /// A header or trailer section, each field counted with 32 bytes on top (RFC 9113 §6.5.2). A larger one is answered with 431.
    public var headerListBytes = 32 * 1024
    /// What a client may have under way on one stream, in bytes, before its handler has consumed it.
    public var streamWindowBytes = 64 * 1024
    /// The same for the whole connection.
    public var connectionWindowBytes = 1024 * 1024
    /// CONTINUATION frames for one header section. More ends the connection.
    public var continuationsPerSection = 6
    /// Frames that move no request on (of each kind) that a client may send ahead of its requests; more ends the connection. Each
    /// second and each request that is answered in full earn some back (of resets, a request earns one); of WINDOW_UPDATE, each request
    /// that has begun and each frame of an answer's content as well.
    public var idleFrames = 1_000
    public var idleFramesPerSecond = 50
    public var idleFramesPerRequest = 4

    /// What waits in the session's output for its connection, in bytes, before the session goes on writing: a client whose windows are
    /// wide and that doesn't read holds no more.
    public var outputBytes = Int.max

    /// Whether CONNECT may name a protocol (RFC 8441).
    public var takesExtendedConnect = false

    public init() {}
}
