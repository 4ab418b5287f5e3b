import ArgumentParser
import PolicyProtocol
import Settings

@main
struct Gatehouse: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gatehouse",
        abstract: "Mints tokens for a Gatehouse, and asks its policy socket.",
        version: "gatehouse \(Release.version) (policy protocol \(ProtocolLimits.version))",
        subcommands: [TokenCommand.self, CheckCommand.self])
}
