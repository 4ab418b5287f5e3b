import ArgumentParser
import Foundation
import PolicyProtocol
import Settings

@main
struct Gatehouse: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gatehouse",
        abstract: "Tries out, asks and operates the policy daemon of a Gatehouse, and mints, verifies and revokes tokens.",
        version: "gatehouse \(Release.version) (policy protocol \(ProtocolLimits.version))",
        subcommands: [
            TokenCommand.self, VerifyCommand.self, CheckCommand.self, TestCommand.self, ExplainCommand.self, RevokeCommand.self,
            ReloadCommand.self, MetricsCommand.self,
        ])

    /// Where others exit with 1 and 2, a script must be able to tell a refusal from a mistake in its own call: that is 2 here.
    private static let usageStatus: Int32 = 2

    static func main() {
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch {
            guard exitCode(for: error) == .validationFailure else { exit(withError: error) }
            StandardError.print(fullMessage(for: error))
            Foundation.exit(usageStatus)
        }
    }
}
