import Counters
import EventLoop
import JSON
import JSONWebToken
import KeySources
import Logging
import Policy
import Settings
import Telemetry
import TLS

/// Everything about the policy daemon that an operator may choose. All but the keys has a default.
public struct DaemonConfiguration: Sendable {
    /// Where the policy socket is made.
    public var socketPath: String
    /// Permission bits of the socket: who may ask is a matter of its owner and group.
    public var socketMode: UInt32 = 0o660
    /// Whose processes may ask there, by the users' numbers. Nil: anybody's that the mode lets in.
    public var socketUsers: [UInt32]?
    /// What may be spoken there.
    public var dialects = Dialect.allCases
    /// Where else the daemon listens.
    public var listening: [ListeningPlace] = []
    /// Threads that decide.
    public var workers = ProcessorCount.available
    /// Whose tokens are accepted.
    public var issuers: [IssuerSettings]
    /// The file with the API keys. Nil: there are none.
    public var apiKeyFile: String?
    /// The claims that may name a token's subject: the first that is there does.
    public var subjectClaims = Identity.subjectClaims
    /// Verified credentials remembered by each worker.
    public var credentialCacheCapacity = 65_536
    /// What requests are judged by.
    public var rules: PolicyRules
    /// What Envoy's rate limit filter may ask about.
    public var rateLimits = RateLimitRules()
    /// Where requests are counted. Nil: in memory.
    public var redis: RedisAddress?
    /// A count that is later than this is a lost one.
    public var redisDeadlineMilliseconds: Int64 = 50
    /// What happens to requests while Redis can't be asked.
    public var onFailure = FailureMode.local
    /// Keys whose counters fit in memory.
    public var memoryCounterCapacity = 1_000_000
    /// Where metrics are shown. Nil: nowhere.
    public var admin: AdminAddress?
    public var decisionLog = DecisionLogSettings()
    /// Clients of the socket, all workers together.
    public var maximumConnections = 1024
    /// Unanswered CHECKs of one connection.
    public var maximumInFlight = 16_384
    /// From SIGTERM until the clients that are still there are cut off.
    public var drainMilliseconds: Int64 = 30_000
    /// The least severe diagnostics to write.
    public var logLevel = Logger.Level.info

    /// The built-in defaults, with a socket, keys and rules, which have none.
    public init(socketPath: String, issuers: [IssuerSettings], rules: PolicyRules) {
        self.socketPath = socketPath
        self.issuers = issuers
        self.rules = rules
    }
}

/// An address and port that the daemon listens on.
public struct ListeningPlace: Sendable, Equatable {
    public let address: SocketAddress
    /// What may be spoken there.
    public let dialects: [Dialect]
    /// Nil: in the clear.
    public let tls: TLSServerSettings?
}

/// One issuer of tokens: where its keys come from, and what its tokens must say.
public struct IssuerSettings: Sendable {
    /// The operator's name for it.
    public let name: String
    /// What `iss` must be; nil takes any, and none.
    public var issuer: String?
    public var keys: KeySource
    /// What its keys may be used for; nil: whatever they admit.
    public var algorithms: Set<SignatureAlgorithm>?
    public var requirements = TokenRequirements()

    public init(name: String, keys: KeySource) {
        self.name = name
        self.keys = keys
    }
}
