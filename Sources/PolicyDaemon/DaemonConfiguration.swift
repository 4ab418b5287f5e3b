import Counters
import JSONWebToken
import Logging
import Settings

/// Everything about the policy daemon that an operator may choose. All but the key has a default.
public struct DaemonConfiguration: Sendable {
    /// Where the policy socket is made.
    public var socketPath: String
    /// Permission bits of the socket: who may ask is a matter of its owner and group.
    public var socketMode: UInt32 = 0o660
    /// Threads that decide.
    public var workers = ProcessorCount.available
    /// What tokens are signed with.
    public var key: HMACKey
    /// How far `exp` and `nbf` may be off this machine's clock (RFC 7519 §4.1.4), in seconds.
    public var leewaySeconds = 0
    /// Requests that one user may make in a window.
    public var limitCount = 100
    public var limitWindowSeconds = 60
    /// Where requests are counted. Nil: in memory.
    public var redis: RedisAddress?
    /// A count that is later than this is a lost one.
    public var redisDeadlineMilliseconds: Int64 = 50
    /// What happens to requests while Redis can't be asked.
    public var onFailure = FailureMode.local
    /// Users whose windows fit in memory.
    public var memoryCounterCapacity = 1_000_000
    /// Verified tokens remembered by each worker.
    public var tokenCacheCapacity = 65_536
    /// Clients of the socket, all workers together.
    public var maximumConnections = 1024
    /// Unanswered CHECKs of one connection.
    public var maximumInFlight = 16_384
    /// From SIGTERM until the clients that are still there are cut off.
    public var drainMilliseconds: Int64 = 30_000
    /// The least severe diagnostics to write.
    public var logLevel = Logger.Level.info

    /// The built-in defaults, with a socket and a key, which have none.
    public init(socketPath: String, key: HMACKey) {
        self.socketPath = socketPath
        self.key = key
    }
}
