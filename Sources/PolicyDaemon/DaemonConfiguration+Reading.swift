import Counters
import JSONWebToken
import Logging
import PolicyProtocol
import Settings

extension DaemonConfiguration {
    /// Reads the daemon's configuration file and its environment, which overrides the file.
    ///
    /// - Parameters:
    ///   - text: what the file holds; nil where there is none.
    ///   - file: what messages call it.
    ///   - environment: the process's own.
    ///   - readFile: reads the file that `jwt.secret_file` names.
    /// - Throws: all mistakes, a missing key among them.
    public static func read(
        text: String?, file: String = "policyd.yaml", environment: [String: String],
        readFile: (String) throws(InvalidConfiguration) -> [UInt8] = ConfigurationFile.bytes
    ) throws(InvalidConfiguration) -> DaemonConfiguration {
        try read(SettingsReader(text: text, file: file, environment: environment), readFile: readFile)
    }

    static func read(
        _ settings: SettingsReader, readFile: (String) throws(InvalidConfiguration) -> [UInt8]
    ) throws(InvalidConfiguration) -> DaemonConfiguration {
        let root = settings.root
        var socketPath = PolicySocket.defaultPath(environment: settings.environment)
        root.read("policy_socket", .socketPath, overriddenBy: "POLICY_SOCKET", mayBeNull: true, into: &socketPath)
        let key = SigningKey.read(settings, readFile: readFile)
        // Without a key the rest is read all the same, so that its mistakes are found too; nothing comes of it.
        var configuration = DaemonConfiguration(socketPath: socketPath, key: key ?? SigningKey.none)
        configuration.readDeciding(root)
        configuration.readServing(root)
        try settings.finish()
        precondition(key != nil, "a missing key is a mistake")
        return configuration
    }

    private mutating func readDeciding(_ root: Section) {
        let jwt = root.section("jwt")
        jwt.read("leeway_seconds", .integer(0...3600), into: &leewaySeconds)
        jwt.read("cache_capacity", .integer(1...10_000_000), into: &tokenCacheCapacity)

        let limit = root.section("limit")
        limit.read("count", .integer(1...1_000_000_000), overriddenBy: "RATE_LIMIT", into: &limitCount)
        limit.read("window_seconds", .integer(1...2_678_400), overriddenBy: "RATE_WINDOW_SECONDS", into: &limitWindowSeconds)

        let redis = root.section("redis")
        redis.read("url", .redisAddress, overriddenBy: "REDIS_URL", into: &self.redis)
        redis.read("deadline_milliseconds", .integer(1...60_000), into: &redisDeadlineMilliseconds)
        redis.read("on_failure", .choice, into: &onFailure)

        root.read("memory_counter_capacity", .integer(1...1_000_000_000), into: &memoryCounterCapacity)
    }

    private mutating func readServing(_ root: Section) {
        root.read("policy_socket_mode", .socketMode, into: &socketMode)
        root.read("workers", .integer(1...1024), overriddenBy: "WORKERS", mayBeNull: true, into: &workers)
        root.read("maximum_connections", .integer(1...1_000_000), into: &maximumConnections)
        root.read("maximum_in_flight", .integer(1...1_000_000), into: &maximumInFlight)
        root.read("drain_milliseconds", .integer(0...3_600_000), into: &drainMilliseconds)
        root.read("log_level", .choice, into: &logLevel)
    }
}

extension Form where Value == RedisAddress {
    static var redisAddress: Form {
        Form(accepted: RedisAddress.accepted, concealing: Form<String>.concealCredentials) { RedisAddress(url: $0) }
    }
}

extension Form where Value == UInt32 {
    /// Permission bits as chmod(1) takes them. The owner's are among them, or the daemon could not see whether its own socket is alive.
    static var socketMode: Form {
        Form(accepted: "an octal number from 0600 to 0777") { text in
            guard text.utf8.count == 3 || text.utf8.count == 4 && text.hasPrefix("0") else { return nil }
            guard !text.hasPrefix("+"), let mode = UInt32(text, radix: 8), mode & 0o600 == 0o600 else { return nil }
            return mode
        }
    }
}
