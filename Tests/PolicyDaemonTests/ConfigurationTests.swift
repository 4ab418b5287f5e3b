import Counters
import Foundation
import JSONWebToken
import KeySources
import Logging
import Policy
import Settings
import Telemetry
import Testing

@testable import PolicyDaemon

private let secret = "0123456789abcdef0123456789abcdef"

private func read(_ text: String? = nil, _ environment: [String: String] = [:]) throws -> DaemonConfiguration {
    try DaemonConfiguration.read(text: text, environment: ["JWT_SECRET": secret].merging(environment) { $1 })
}

/// All values of a configuration, down to those that have no parts.
private func dumped(_ value: Any, _ path: String = "") -> [String] {
    let children = Array(Mirror(reflecting: value).children)
    guard !children.isEmpty else { return ["\(path): \(value)"] }
    return children.enumerated().flatMap { dumped($1.value, "\(path).\($1.label ?? "\($0)")") }
}

/// A file of the directory deploy/ with what is commented out as an example in force: what follows a `#` without a blank, or with
/// two.
private func uncommented(_ text: String) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
        guard line.hasPrefix("#"), line.count > 1, !line.hasPrefix("# ") || line.hasPrefix("#  ") else { return String(line) }
        return String(line.dropFirst())
    }.joined(separator: "\n")
}

/// Files that the examples name.
private func exampleFile(_ path: String) -> [UInt8] {
    path.hasSuffix(".pem") ? Array(publicKey.utf8) : Array("a secret of some length, and a line\n".utf8)
}

private let publicKey = """
    -----BEGIN PUBLIC KEY-----
    MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
    -----END PUBLIC KEY-----
    """

@Suite("Configuration of the policy daemon")
struct ConfigurationTests {
    @Test func `with nothing but a key everything is built in`() throws {
        let configuration = try read()
        #expect(configuration.socketPath == "/run/gatehouse/policy.sock")
        #expect(configuration.socketMode == 0o660)
        #expect(configuration.issuers.map(\.name) == ["jwt"])
        #expect(configuration.apiKeyFile == nil)
        #expect(configuration.rules.rules.map(\.name) == ["default"])
        #expect(configuration.rules.allLimits.map(\.quotaText) == ["100 in 60 s (sliding-window)"])
        #expect(configuration.rules.wantedHeaders == ["authorization"])
        #expect(configuration.rules.ownedHeaders == ["x-user-id", "x-user-email", "x-user-role"])
        #expect(configuration.redis == nil)
        #expect(configuration.redisDeadlineMilliseconds == 50)
        #expect(configuration.onFailure == .local)
        #expect(configuration.workers == ProcessorCount.available)
        #expect(configuration.admin == nil)
        #expect(configuration.decisionLog.mode == .off)
    }

    @Test func `the example in deploy is the built-in configuration`() throws {
        let (example, standard) = try (dumped(read(deployed("policyd.yaml"))), dumped(read()))
        #expect(example.count > 100)
        #expect(example == standard)
    }

    @Test func `the example in deploy has every option, those that are commented out included, and no mistake`() throws {
        let settings = try SettingsReader(text: uncommented(deployed("policyd.yaml")), file: "policyd.yaml", environment: ["JWT_SECRET": secret])
        let configuration = try DaemonConfiguration.read(settings) { path in exampleFile(path) }
        #expect(settings.absentOptions == [])
        #expect(settings.absentEntryOptions.filter { !$0.hasPrefix("rules.*.denials.") } == [])
        #expect(configuration.issuers.count == 6)
        #expect(configuration.rules.rules.map(\.name) == ["project", "everything-else"])
    }

    @Test func `the example of a platform has no mistake`() throws {
        let keys = "/tmp/gatehouse-test-api-keys-\(UUID()).json"
        try Data(#"{"keys":[]}"#.utf8).write(to: URL(filePath: keys))
        defer { try? FileManager.default.removeItem(atPath: keys) }
        let text = try deployed("policyd-platform.yaml").replacing("/etc/gatehouse/api-keys.json", with: keys)
        let configuration = try DaemonConfiguration.read(text: text, environment: [:]) { path in exampleFile(path) }
        #expect(configuration.issuers.map(\.name) == ["people", "services", "partner"])
        #expect(configuration.rules.rules.count == 8)
        #expect(configuration.rules.checksRevocation)
        #expect(configuration.rules.failureLimit?.quotaText == "20 in 60 s (sliding-window)")
        #expect(!configuration.summary.contains("never reached"))
    }

    @Test func `the file sets every option`() throws {
        let configuration = try DaemonConfiguration.read(
            text: """
                policy_socket: /tmp/policy.sock
                policy_socket_mode: 0600
                policy_socket_users: [root, 33]
                workers: 3
                jwt: { secret: "from the file", leeway_seconds: 5 }
                credential_cache_capacity: 10
                subject_claims: [uid]
                limit: { count: 7, window_seconds: 10 }
                redis: { url: "unix:/run/redis.sock", deadline_milliseconds: 20, on_failure: deny }
                revocation: { enabled: true }
                limit_headers: { x_ratelimit: false, ratelimit: false }
                memory_counter_capacity: 11
                maximum_connections: 12
                maximum_in_flight: 13
                drain_milliseconds: 14
                admin: { listen: "unix:/run/admin.sock" }
                decision_log: { mode: sampled, sample_one_in: 7, file: /var/log/decisions }
                log_level: error
                """, environment: [:])
        #expect(configuration.socketPath == "/tmp/policy.sock")
        #expect(configuration.socketMode == 0o600)
        #expect(configuration.socketUsers == [0, 33])
        #expect(configuration.summary.contains("mode 0600, users 0, 33"))
        #expect(configuration.workers == 3)
        #expect(configuration.issuers.first?.requirements.leewaySeconds == 5)
        #expect(configuration.credentialCacheCapacity == 10)
        #expect(configuration.subjectClaims.map(\.description) == ["uid"])
        #expect(configuration.rules.allLimits.map(\.quotaText) == ["7 in 10 s (sliding-window)"])
        #expect(configuration.redis == RedisAddress(place: .unix(path: "/run/redis.sock")))
        #expect(configuration.redisDeadlineMilliseconds == 20)
        #expect(configuration.onFailure == .deny)
        #expect(configuration.rules.checksRevocation)
        #expect(!configuration.rules.limitFields.sendsXRateLimit)
        #expect(!configuration.rules.limitFields.sendsRateLimit)
        #expect(configuration.memoryCounterCapacity == 11)
        #expect(configuration.maximumConnections == 12)
        #expect(configuration.maximumInFlight == 13)
        #expect(configuration.drainMilliseconds == 14)
        #expect(configuration.admin == .unix(path: "/run/admin.sock", mode: 0o600))
        #expect(configuration.decisionLog.mode == .sampled(oneIn: 7))
        #expect(configuration.decisionLog.file == "/var/log/decisions")
        #expect(configuration.logLevel == .error)
    }

    @Test func `the environment overrides the file`() throws {
        let configuration = try read(
            """
            policy_socket: /tmp/policy.sock
            workers: 3
            jwt: { secret: "from the file" }
            limit: { count: 7, window_seconds: 10 }
            redis: { url: "unix:/run/redis.sock" }
            """,
            [
                "POLICY_SOCKET": "/tmp/other.sock", "WORKERS": "4", "RATE_LIMIT": "8", "RATE_WINDOW_SECONDS": "20",
                "REDIS_URL": "redis://localhost:1234",
            ])
        #expect(configuration.socketPath == "/tmp/other.sock")
        #expect(configuration.workers == 4)
        #expect(configuration.rules.allLimits.map(\.quotaText) == ["8 in 20 s (sliding-window)"])
        #expect(configuration.redis == RedisAddress(place: .tcp(host: "localhost", port: 1234)))
        #expect(try verifies(configuration, token: token("a")))
    }

    @Test func `an empty variable counts as unset`() throws {
        let configuration = try read("limit: { count: 7 }", ["RATE_LIMIT": "", "REDIS_URL": "", "WORKERS": "", "POLICY_SOCKET": ""])
        #expect(configuration.rules.allLimits.map(\.quotaText) == ["7 in 60 s (sliding-window)"])
        #expect(configuration.redis == nil)
    }

    @Test func `the socket is in the runtime directory of the user who has one`() throws {
        #expect(try read(nil, ["XDG_RUNTIME_DIR": "/run/user/7"]).socketPath == "/run/user/7/gatehouse/policy.sock")
        #expect(try read("policy_socket: null", ["XDG_RUNTIME_DIR": "/run/user/7"]).socketPath == "/run/user/7/gatehouse/policy.sock")
    }

    @Test(arguments: [secret, secret + "\n", secret + "\r\n"])
    func `the key may be in a file, whose last newline is not part of it`(content: String) throws {
        let configuration = try DaemonConfiguration.read(text: "jwt: { secret_file: /etc/secret }", environment: [:]) { path in
            path == "/etc/secret" ? Array(content.utf8) : []
        }
        #expect(try verifies(configuration, token: token("a")))
    }

    @Test func `with the key in the environment nobody reads the file that would hold it`() throws {
        #expect(try verifies(read("jwt: { secret_file: /nonexistent }"), token: token("a")))
    }

    @Test func `whoever lists issuers means no API keys, unless it is said`() throws {
        let configuration = try read(
            """
            rules:
              everybody: { path: /a }
              ours: { path: /b, issuers: [jwt] }
              both: { path: /c, issuers: [jwt], api_keys: true }
            """)
        #expect(configuration.rules.rules.map(\.options.acceptsAPIKeys) == [true, false, true])
        #expect(configuration.rules.rules.map(\.options.issuers) == [nil, [0], [0]])
    }

    @Test func `a rule's denials keep the format of all, and what is said of other kinds`() throws {
        let configuration = try read(
            """
            denials: { format: problem, forbidden: { status: 404 } }
            rules:
              a: { path: /a, denials: { limited: { status: 420 } } }
              b: { path: /b, denials: { format: json } }
            """)
        let rules = configuration.rules
        let (a, b) = (Request(target: "/a"), Request(target: "/b"))
        #expect(denial(rules, a)?.contentType == Array("application/problem+json".utf8))
        #expect(denial(rules, b)?.contentType == Array("application/json".utf8))
    }

    private func denial(_ rules: PolicyRules, _ request: Request) -> Denial? {
        var evaluation = Evaluation(rules, nowUnixMilliseconds: now)
        guard case .decided(let decision) = evaluation.start(request.view) else { return nil }
        return decision.denial
    }

    private func verifies(_ configuration: DaemonConfiguration, token: String) throws -> Bool {
        let setup = try Setup(configuration, replacing: nil, registry: MetricRegistry(), decisionLog: nil, logger: silent)
        let bytes = Array(token.utf8)
        guard case .verified = Authenticator(setup.authentication).authenticate(bytes.span, .token, nowUnixMilliseconds: now) else { return false }
        return true
    }

    @Test(arguments: try BadConfiguration.all())
    func `each bad configuration earns its messages`(bad: BadConfiguration) {
        #expect(!bad.messages.isEmpty)
        let environment = ["JWT_SECRET": secret].merging(bad.environment) { $1 }
        let error = #expect(throws: InvalidConfiguration.self) {
            try DaemonConfiguration.read(text: bad.text, file: bad.name, environment: environment)
        }
        #expect(error?.mistakes.map(\.description) == bad.messages)
        #expect(error?.description.contains("hidden") == false)
    }
}
