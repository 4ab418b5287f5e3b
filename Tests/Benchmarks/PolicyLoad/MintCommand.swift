import ArgumentParser
import EventLoop
import Foundation
import JSON
import JSONWebToken

/// One token a user, on one line each: signing takes RSA longer than verifying, so it is done once, ahead of everything.
struct MintCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "mint", abstract: "Print tokens of many users.")

    @Option(help: "A file that holds the private key, as JWK or PEM.") var key: String
    @Option(help: "What to sign by, of what the key admits.") var algorithm: SignatureAlgorithm
    @Option(help: "How many users.") var users = 10_000

    func run() throws {
        let key = try PrivateKey(Array(Data(contentsOf: URL(fileURLWithPath: key))))
        let now = Clock.unixMilliseconds() / 1000
        for user in 0..<users {
            let claims = JSONObject([
                ("userId", .string("usr_\(user)")), ("email", .string("user\(user)@example.com")),
                ("role", .string("developer")), ("iat", .number(JSONNumber(now))), ("exp", .number(JSONNumber(now + 86_400))),
            ])
            print(try TokenSigner.sign(claims, with: key, algorithm))
        }
    }
}

extension SignatureAlgorithm: ExpressibleByArgument {}
