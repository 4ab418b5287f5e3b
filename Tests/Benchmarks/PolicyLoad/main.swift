import ArgumentParser

/// Asks a policy daemon as fast as it answers; and makes what that takes.
struct PolicyLoad: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy-load", abstract: "Measure a policy daemon.",
        subcommands: [AskCommand.self, MintCommand.self, ReferenceCommand.self])
}

PolicyLoad.main()
