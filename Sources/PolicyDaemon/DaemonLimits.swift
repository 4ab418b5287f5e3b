import PolicyProtocol

/// What a client of the daemon may take of it, beyond what the protocol and the configuration say.
struct DaemonLimits: Sendable {
    /// How long a client may take for its HELLO.
    var helloMilliseconds = Int64(ProtocolLimits.helloTimeoutMilliseconds)
    /// How long a frame may take from its first byte to its last.
    var frameMilliseconds: Int64 = 5_000
    /// Verdicts waiting to be read by their client, in bytes: with more than this, nothing further is read from it.
    var waitingOutputBytes = 1024 * 1024
    /// How long a client may leave its verdicts unread before it is cut off.
    var outputStallMilliseconds: Int64 = 5_000
    /// What is received from one client before the others have their turn, in bytes.
    var receiveBytesPerTurn = 256 * 1024
    /// How long accepting rests when no descriptor is left.
    var acceptPauseMilliseconds: Int64 = 100
    /// Log lines that clients can cause, a second and worker.
    var logLinesPerSecond = 10
}
