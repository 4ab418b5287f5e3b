import ArgumentParser
import EventLoop
import Foundation
import JSON
import JSONWebToken
import PolicyDaemon

struct TokenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Mints a token and prints it.",
        discussion: """
            It is signed HS256 with the policy daemon's secret: JWT_SECRET, or the content of --secret-file. With --key it is signed with that \
            key, by the first algorithm that it admits.
            """)

    @Option(help: "The user's id.")
    var user: String

    @Option(help: "The user's email address.")
    var email: String?

    @Option(help: "The user's role; a gateway takes a token without one for \"user\".")
    var role: String?

    @Option(
        parsing: .unconditional,
        help: "How long the token is good for: 30s, 15m, 1h, 7d; with a minus, a token that has expired.")
    var expires = Lifetime(argument: "1h")!

    @Option(help: "A file that holds the secret; a newline at its end is no part of it.")
    var secretFile: String?

    @Option(help: "A file that holds the private key, as JWK or PEM.")
    var key: String?

    @Option(help: "What to sign by, of what the key admits: HS256, RS256, PS256, ES256, EdDSA and so on.")
    var algorithm: SignatureAlgorithm?

    func validate() throws {
        guard key == nil || secretFile == nil else { throw ValidationError("--key and --secret-file; accepted: one of the two") }
    }

    func run() throws {
        let key = try key.map(Self.privateKey) ?? Self.key(secretFile: secretFile, environment: ProcessInfo.processInfo.environment)
        print(try TokenSigner.sign(claims(nowUnixSeconds: Clock.unixMilliseconds() / 1000), with: key, algorithm))
    }

    func claims(nowUnixSeconds now: Int64) -> JSONObject {
        var members: [(name: String, value: JSONValue)] = [("userId", .string(user))]
        if let email { members.append(("email", .string(email))) }
        if let role { members.append(("role", .string(role))) }
        // A token that has expired was still issued before it did.
        members.append(("iat", .number(JSONNumber(now + min(expires.seconds, 0)))))
        members.append(("exp", .number(JSONNumber(now + expires.seconds))))
        return JSONObject(members)
    }

    static func key(secretFile: String?, environment: [String: String]) throws -> PrivateKey {
        let secret: [UInt8]
        if let secretFile {
            secret = SharedSecret.trimmed(try content(of: secretFile, "secret file"))
        } else {
            secret = Array((environment["JWT_SECRET"] ?? "").utf8)
        }
        guard !secret.isEmpty else {
            throw Failure(
                secretFile.map { "the secret file \($0) is empty" } ?? "no secret: set JWT_SECRET, or give --secret-file or --key")
        }
        return try PrivateKey(secret: secret)
    }

    private static func privateKey(inFile path: String) throws -> PrivateKey {
        let bytes = try content(of: path, "key file")
        do {
            return try PrivateKey(bytes)
        } catch {
            throw Failure("the key file \(path) has \(error)")
        }
    }

    private static func content(of path: String, _ what: String) throws -> [UInt8] {
        do {
            return Array(try Data(contentsOf: URL(filePath: path)))
        } catch {
            throw Failure("the \(what) \(path) cannot be read: \(error.localizedDescription)")
        }
    }
}

extension SignatureAlgorithm: ExpressibleByArgument {}
