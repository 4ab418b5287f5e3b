import Counters
import Foundation
import Settings
import Testing

@testable import JSONWebToken
@testable import PolicyDaemon

private let secret = "0123456789abcdef0123456789abcdef"

private func read(_ text: String? = nil, _ environment: [String: String] = [:]) throws -> DaemonConfiguration {
    try DaemonConfiguration.read(text: text, environment: ["JWT_SECRET": secret].merging(environment) { $1 })
}

/// Everything but the key, which has no equality.
private func dumped(_ configuration: DaemonConfiguration) -> [String] {
    Mirror(reflecting: configuration).children.filter { $0.label != "key" }.map { "\($0.label ?? ""): \($0.value)" }
}

@Suite("Configuration of the policy daemon")
struct ConfigurationTests {
    @Test func `with nothing but a key everything is built in`() throws {
        let configuration = try read()
        #expect(configuration.socketPath == "/run/gatehouse/policy.sock")
        #expect(configuration.socketMode == 0o660)
        #expect(configuration.limitCount == 100)
        #expect(configuration.limitWindowSeconds == 60)
        #expect(configuration.redis == nil)
        #expect(configuration.redisDeadlineMilliseconds == 50)
        #expect(configuration.onFailure == .local)
        #expect(configuration.workers == ProcessorCount.available)
        #expect(configuration.key.secret == Array(secret.utf8))
    }

    @Test func `the example in deploy is the built-in configuration`() throws {
        #expect(try dumped(read(deployed("policyd.yaml"))) == dumped(read()))
    }

    @Test func `the example in deploy has every option`() throws {
        let settings = try SettingsReader(text: deployed("policyd.yaml"), file: "", environment: ["JWT_SECRET": secret])
        _ = try DaemonConfiguration.read(settings, readFile: ConfigurationFile.bytes)
        #expect(settings.absentOptions == [])
    }

    @Test func `the file sets every option`() throws {
        let configuration = try DaemonConfiguration.read(
            text: """
                policy_socket: /tmp/policy.sock
                policy_socket_mode: 0600
                workers: 3
                jwt: { secret: "from the file", leeway_seconds: 5, cache_capacity: 10 }
                limit: { count: 7, window_seconds: 10 }
                redis: { url: "unix:/run/redis.sock", deadline_milliseconds: 20, on_failure: deny }
                memory_counter_capacity: 11
                maximum_connections: 12
                maximum_in_flight: 13
                drain_milliseconds: 14
                log_level: error
                """, environment: [:])
        #expect(configuration.socketPath == "/tmp/policy.sock")
        #expect(configuration.socketMode == 0o600)
        #expect(configuration.workers == 3)
        #expect(configuration.key.secret == Array("from the file".utf8))
        #expect(configuration.leewaySeconds == 5)
        #expect(configuration.tokenCacheCapacity == 10)
        #expect(configuration.limitCount == 7)
        #expect(configuration.limitWindowSeconds == 10)
        #expect(configuration.redis == RedisAddress(place: .unix(path: "/run/redis.sock")))
        #expect(configuration.redisDeadlineMilliseconds == 20)
        #expect(configuration.onFailure == .deny)
        #expect(configuration.memoryCounterCapacity == 11)
        #expect(configuration.maximumConnections == 12)
        #expect(configuration.maximumInFlight == 13)
        #expect(configuration.drainMilliseconds == 14)
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
        #expect(configuration.limitCount == 8)
        #expect(configuration.limitWindowSeconds == 20)
        #expect(configuration.redis == RedisAddress(place: .tcp(host: "localhost", port: 1234)))
        #expect(configuration.key.secret == Array(secret.utf8))
    }

    @Test func `an empty variable counts as unset`() throws {
        let configuration = try read("limit: { count: 7 }", ["RATE_LIMIT": "", "REDIS_URL": "", "WORKERS": "", "POLICY_SOCKET": ""])
        #expect(configuration.limitCount == 7)
        #expect(configuration.redis == nil)
    }

    @Test func `the socket is in the runtime directory of the user who has one`() throws {
        #expect(try read(nil, ["XDG_RUNTIME_DIR": "/run/user/7"]).socketPath == "/run/user/7/gatehouse/policy.sock")
        #expect(try read("policy_socket: null", ["XDG_RUNTIME_DIR": "/run/user/7"]).socketPath == "/run/user/7/gatehouse/policy.sock")
    }

    @Test(arguments: ["the secret", "the secret\n", "the secret\r\n"])
    func `the key may be in a file, whose last newline is not part of it`(content: String) throws {
        let configuration = try DaemonConfiguration.read(text: "jwt: { secret_file: /etc/secret }", environment: [:]) { path in
            path == "/etc/secret" ? Array(content.utf8) : []
        }
        #expect(configuration.key.secret == Array("the secret".utf8))
    }

    @Test func `with the key in the environment nobody reads the file that would hold it`() throws {
        let configuration = try read("jwt: { secret_file: /nonexistent }")
        #expect(configuration.key.secret == Array(secret.utf8))
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
