import ArgumentParser
import Counters
import EventLoop
import Foundation
import Policy
import PolicyDaemon
import Settings

struct RevokeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke",
        abstract: "Revokes a token, or all of a subject's tokens.",
        discussion: """
            It is written into the Redis of the policy daemons, which look there if revocation.enabled is true.

            Exit status: 0 done, 1 Redis refuses, 2 nobody could be asked.
            """)

    @Option(help: "The token's jti.")
    var tokenID: String?

    @Option(help: "The subject, as the policy daemons read it from a token.")
    var subject: String?

    @Option(help: "With --subject: tokens issued before this time, in Unix seconds. Default: now.")
    var issuedBefore: IssueTime?

    @Option(name: .customLong("for"), help: "How long to remember it, at least as long as the token is good: 15m, 24h, 7d.")
    var lifetime: Lifetime?

    @Flag(help: "Take it back.")
    var undo = false

    @Option(help: "The Redis. Default: that of --config, else REDIS_URL.")
    var redis: RedisURL?

    @Option(help: "The policy daemon's configuration, which names the Redis.")
    var config: String?

    func validate() throws {
        switch (tokenID, subject) {
        case (nil, nil): throw ValidationError("nothing to revoke; accepted: --token-id or --subject")
        case (_?, _?): throw ValidationError("--token-id and --subject; accepted: one of the two")
        case (""?, nil), (nil, ""?): throw ValidationError("an empty id; accepted: the token's jti, or the subject")
        default: break
        }
        guard issuedBefore == nil || subject != nil && !undo else { throw ValidationError("--issued-before; accepted with --subject, to revoke") }
        guard undo || lifetime != nil else { throw ValidationError("no --for; accepted: how long to remember it, as in --for 24h") }
        guard lifetime == nil || !undo else { throw ValidationError("--for and --undo; accepted: one of the two") }
        guard lifetime?.seconds ?? 1 > 0 else { throw ValidationError("--for is not positive; accepted: how long to remember it, as in --for 24h") }
    }

    func run() throws {
        let reply: RedisValue
        do {
            let address = try address(environment: ProcessInfo.processInfo.environment)
            let command = command(nowUnixMilliseconds: Clock.unixMilliseconds())
            reply = try onLoop { loop in try await RedisCommander.run(command, at: address, on: loop) }.get()
        } catch {
            StandardError.print("gatehouse: \(error)")
            throw ExitCode(2)
        }
        switch reply {
        case .error(let text):
            StandardError.print("gatehouse: Redis refuses: \(printable(text))")
            throw ExitCode(1)
        case .integer(0): print("was not revoked")
        default: print(undo ? "no longer revoked" : "revoked")
        }
    }

    /// What Redis is sent.
    func command(nowUnixMilliseconds now: Int64) -> [[UInt8]] {
        let key = tokenID.map { Revocation.key(ofTokenID: Array($0.utf8)) } ?? Revocation.key(ofSubject: Array((subject ?? "").utf8))
        guard let lifetime, !undo else { return [Array("DEL".utf8), key] }
        // Tokens say when they were issued in whole seconds: what was issued in this one was issued before now.
        let before = issuedBefore?.unixSeconds ?? (now + 999) / 1000
        return [Array("SET".utf8), key, Array(String(before).utf8), Array("EX".utf8), Array(String(lifetime.seconds).utf8)]
    }

    func address(environment: [String: String]) throws -> RedisAddress {
        if let redis { return redis.address }
        if let config {
            let configuration = try DaemonConfiguration.read(
                text: try ConfigurationFile.text(config), file: config, environment: environment)
            guard let address = configuration.redis else { throw Failure("\(config) names no Redis; accepted is redis.url, or --redis") }
            if !configuration.rules.checksRevocation {
                StandardError.print("gatehouse: \(config) doesn't have revocation.enabled: true, so nobody looks")
            }
            return address
        }
        guard let url = environment["REDIS_URL"], !url.isEmpty else { throw Failure("no Redis; accepted is --redis, --config or REDIS_URL") }
        guard let address = RedisAddress(url: url) else {
            throw Failure("REDIS_URL is \(Form<String>.concealCredentials(url).debugDescription); accepted is \(RedisAddress.accepted)")
        }
        return address
    }
}

/// Where a Redis is, as a URL.
struct RedisURL: ExpressibleByArgument {
    let address: RedisAddress

    init?(argument: String) {
        guard let address = RedisAddress(url: argument) else { return nil }
        self.address = address
    }
}

/// When tokens were issued, in Unix seconds, or `now`.
struct IssueTime: ExpressibleByArgument {
    /// Nil: now.
    let unixSeconds: Int64?

    init?(argument: String) {
        guard argument != "now" else {
            unixSeconds = nil
            return
        }
        guard let seconds = UnixTime(argument: argument)?.seconds, (0..<1e11).contains(seconds) else { return nil }
        unixSeconds = Int64(seconds.rounded(.up))
    }
}
