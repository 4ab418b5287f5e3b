import ArgumentParser
import EventLoop
import Foundation
import JSON
import JSONWebToken

struct TokenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Mints a token (HS256) and prints it.",
        discussion: "The secret is that of the policy daemon: JWT_SECRET, or the content of --secret-file.")

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

    func run() throws {
        let key = try Self.key(secretFile: secretFile, environment: ProcessInfo.processInfo.environment)
        print(TokenSigner.sign(claims(nowUnixSeconds: Clock.unixMilliseconds() / 1000), with: key))
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

    static func key(secretFile: String?, environment: [String: String]) throws -> HMACKey {
        var secret: [UInt8]
        if let secretFile {
            do {
                secret = Array(try Data(contentsOf: URL(filePath: secretFile)))
            } catch {
                throw Failure("the secret file \(secretFile) cannot be read: \(error.localizedDescription)")
            }
            if secret.last == UInt8(ascii: "\n") { secret.removeLast() }
            if secret.last == UInt8(ascii: "\r") { secret.removeLast() }
        } else {
            secret = Array((environment["JWT_SECRET"] ?? "").utf8)
        }
        guard let key = HMACKey(secret: secret) else {
            throw Failure(
                secretFile.map { "the secret file \($0) is empty" } ?? "no secret: set JWT_SECRET, or give --secret-file")
        }
        return key
    }
}
