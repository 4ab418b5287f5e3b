import Counters
import JSONWebToken
import KeySources
import Logging
import Policy
import PolicyProtocol
import Settings
import TLS

extension DaemonConfiguration {
    /// Reads the daemon's configuration file and its environment, which overrides the file.
    ///
    /// - Parameters:
    ///   - text: what the file holds; nil where there is none.
    ///   - file: what messages call it.
    ///   - environment: the process's own.
    ///   - readFile: reads files that the configuration names.
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

        var apiKeyFile: String?
        let apiKeys = root.section("api_keys")
        apiKeys.read("file", .absolutePath, into: &apiKeyFile)
        if let apiKeyFile {
            _ = apiKeys.attempt("file") { () throws(UnusableKeySource) in try APIKeySource(path: apiKeyFile).check() }
        }
        let entries = root.entries("issuers", accepted: "a map of names to issuers") ?? []
        var issuers = SharedSecret.read(settings, isRequired: entries.isEmpty && apiKeyFile == nil, readFile: readFile).map { [$0] } ?? []
        for entry in entries {
            if entry.key == SharedSecret.issuerName {
                root.report("issuers", "has \(SharedSecret.issuerName.debugDescription), the name of the one in the section jwt", accepted: "another name")
            }
            if let issuer = IssuerSettings.read(entry, readFile: readFile) { issuers.append(issuer) }
        }
        // Where something is wrong the rest is read all the same, so that its mistakes are found too; nothing comes of it.
        let subjectClaims = root.claimPaths("subject_claims") ?? Identity.subjectClaims
        let rules = PolicyRules.read(
            root, subjectClaims: subjectClaims, issuers: IssuerNames(usable: issuers.map(\.name), all: issuers.map(\.name) + entries.map(\.key)),
            hasAPIKeys: apiKeyFile != nil)
        rules?.reportUnfit(root)
        var configuration = DaemonConfiguration(
            socketPath: socketPath, issuers: issuers, rules: rules ?? PolicyRules.nothing)
        configuration.apiKeyFile = apiKeyFile
        configuration.subjectClaims = subjectClaims
        configuration.readDeciding(root)
        configuration.readServing(root)
        try settings.finish()
        precondition(rules != nil, "rules that can't be read are a mistake")
        return configuration
    }

    private mutating func readDeciding(_ root: Section) {
        rateLimits = RateLimitRules.read(root)
        root.read("credential_cache_capacity", .integer(1...10_000_000), into: &credentialCacheCapacity)

        let redis = root.section("redis")
        redis.read("url", .redisAddress, overriddenBy: "REDIS_URL", into: &self.redis)
        readRedisAccess(redis)
        redis.read("deadline_milliseconds", .integer(1...60_000), into: &redisDeadlineMilliseconds)
        redis.read("on_failure", .choice, into: &onFailure)
        if rules.checksRevocation, self.redis == nil {
            root.section("revocation").report("enabled", "is true and there is no Redis to keep revocations in", accepted: "redis.url as well")
        }

        root.read("memory_counter_capacity", .integer(1...1_000_000_000), into: &memoryCounterCapacity)
    }

    /// What a URL has no place for.
    private mutating func readRedisAccess(_ redis: Section) {
        var (user, password): (String?, String?)
        redis.read("sentinel_user", .line, into: &user)
        redis.read("sentinel_password", .secret, into: &password)
        let tls = redis.section("tls")
        var settings = RedisTLS()
        tls.read("ca_file", .absolutePath, into: &settings.authoritiesFile)
        tls.read("certificate_file", .absolutePath, into: &settings.certificateFile)
        tls.read("key_file", .absolutePath, into: &settings.keyFile)
        tls.read("server_name", .line, into: &settings.serverName)
        if (settings.certificateFile == nil) != (settings.keyFile == nil) {
            tls.report("has one of certificate_file and key_file", accepted: "both, or neither")
        }
        guard var address = self.redis else { return }
        if user != nil || password != nil {
            if case .sentinel = address.topology {
                address.sentinelUser = user
                address.sentinelPassword = password
            } else {
                redis.report(password == nil ? "sentinel_user" : "sentinel_password", "stands beside a url without sentinels", accepted: "a redis-sentinel:// url")
            }
        }
        if address.tls != nil {
            address.tls = settings
            if (settings.certificateFile == nil) == (settings.keyFile == nil) { _ = redis.attempt("tls") { () throws(TLSFailure) in try settings.check() } }
        } else if settings != RedisTLS() {
            redis.report("tls", "stands beside a url without TLS", accepted: "a rediss:// url, or rediss-sentinel:// or rediss-cluster://")
        }
        self.redis = address
    }

    private mutating func readServing(_ root: Section) {
        root.read("policy_socket_mode", .socketMode, into: &socketMode)
        var users: [UInt32] = []
        root.readList("policy_socket_users", .systemUser, mayBeNull: true, into: &users)
        if !users.isEmpty { socketUsers = users }
        readListening(root)
        root.read("workers", .integer(1...1024), overriddenBy: "WORKERS", mayBeNull: true, into: &workers)
        root.read("maximum_connections", .integer(1...1_000_000), into: &maximumConnections)
        root.read("maximum_in_flight", .integer(1...1_000_000), into: &maximumInFlight)
        root.read("drain_milliseconds", .integer(0...3_600_000), into: &drainMilliseconds)
        readObserving(root)
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
