import ArgumentParser
import Bytes
import EventLoop
import Foundation
import JSON
import Policy
import PolicyDaemon
import PolicyProtocol
import Settings

struct ExplainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Says step by step how a policy daemon's configuration judges one request.",
        discussion: """
            Nothing is asked: no daemon, no Redis, no address that keys are fetched from. Where keys come from such an address, give \
            --claims in place of --token.

            Exit status: 0 allowed, 1 denied, 2 the configuration or the request is unusable.
            """)

    @Option(help: "The policy daemon's configuration. Default: the environment alone.")
    var config: String?

    @Option(help: "The request's method.")
    var method = "GET"

    @Option(help: "The request's path, and perhaps its query.")
    var path: String

    @Option(help: "The request's host.")
    var host = "localhost"

    @Option(name: .customLong("header"), help: "A header of the request, 'Name: value'. May be repeated.")
    var headers: [Header] = []

    @Option(help: "The client's IP address.")
    var client = "127.0.0.1"

    @Option(help: CertificateArgument.help)
    var certificate: CertificateArgument?

    @Option(help: "The token.")
    var token: String?

    @Option(help: "The API key.")
    var apiKey: String?

    @Option(help: "What the token says, as JSON, instead of one that is signed.")
    var claims: String?

    @Option(help: "With --claims: the issuer by its name in the configuration. Default: the one that iss names, or the only one.")
    var issuer: String?

    @Option(help: "How much of a limit was used before: 'limit=n'. May be repeated.")
    var used: [UsedLimit] = []

    @Flag(help: "The token is revoked.")
    var revoked = false

    @Option(help: "The time to judge by: Unix seconds, or as in 2026-01-02T03:04:05Z. Default: now.")
    var now: String?

    func validate() throws {
        guard [token, apiKey, claims].count(where: { $0 != nil }) <= 1 else {
            throw ValidationError("more than one of --token, --api-key and --claims; accepted: one")
        }
        guard issuer == nil || claims != nil else { throw ValidationError("--issuer without --claims, which it says the issuer of") }
    }

    func run() throws {
        let (text, isAllowed): (String, Bool)
        do {
            (text, isAllowed) = try explanation(environment: ProcessInfo.processInfo.environment, nowUnixMilliseconds: Clock.unixMilliseconds())
        } catch {
            StandardError.print("gatehouse: \(error)")
            throw ExitCode(2)
        }
        print(text)
        throw isAllowed ? ExitCode.success : ExitCode(1)
    }

    /// The request, the steps of its judgement, and the verdict.
    func explanation(environment: [String: String], nowUnixMilliseconds clock: Int64) throws -> (text: String, isAllowed: Bool) {
        let scene = try scene(nowUnixMilliseconds: clock)
        let rehearsal =
            if let config { try Rehearsal(policyFile: config, environment: environment) } else {
                try Rehearsal(.read(text: nil, file: "", environment: environment))
            }
        let outcome = try rehearsal.judge(scene)
        let answer = VerdictReport(try VerdictMessage.parse(outcome.verdict.span), outcome.verdict.span)
        let steps = outcome.steps.enumerated().map { "\($0.offset + 1). \(printable($0.element))" }
        let text = (["\(scene.method) \(scene.host)\(scene.target)"] + steps + ["", answer.report]).joined(separator: "\n")
        return (text, answer.isAllowed)
    }

    private func scene(nowUnixMilliseconds clock: Int64) throws -> Scene {
        var moment = clock
        if let now {
            guard let given = unixMilliseconds(at: now) else {
                throw Failure("--now is \(now.debugDescription); accepted is \(Form<Int64>.moment.accepted)")
            }
            moment = given
        }
        guard IPAddress(Array(client.utf8).span) != nil else {
            throw Failure("--client is \(client.debugDescription); accepted is an IP address")
        }
        var scene = Scene(nowUnixMilliseconds: moment)
        (scene.method, scene.host, scene.clientAddress) = (method, host, client)
        scene.target = try RequestLine.normalize(path, method: method)
        scene.headers = headers.map { ($0.name, $0.value) }
        scene.certificate = certificate?.certificate
        scene.credential = try credential()
        for limit in used { scene.used[limit.name] = limit.count }
        scene.isRevoked = revoked
        return scene
    }

    private func credential() throws -> Scene.Credential {
        if let token { return .token(token) }
        if let apiKey { return .apiKey(apiKey) }
        guard let claims else { return .none }
        do throws(JSONError) {
            if case .object(let object) = try JSONValue.parse(Array(claims.utf8).span) { return .claims(object, issuer: issuer) }
        } catch {
            throw Failure("--claims is no JSON: \(error)")
        }
        throw Failure(#"--claims is no JSON object; accepted is one as in {"sub":"alice"}"#)
    }
}

/// How much of a limit was used: `limit=n`.
struct UsedLimit: ExpressibleByArgument {
    let name: String
    let count: Int

    init?(argument: String) {
        guard let equals = argument.lastIndex(of: "="), equals != argument.startIndex,
            let count = Int(argument[argument.index(after: equals)...]), (0...1_000_000_000).contains(count)
        else { return nil }
        name = String(argument[..<equals])
        self.count = count
    }
}
