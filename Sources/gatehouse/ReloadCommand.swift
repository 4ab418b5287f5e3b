import ArgumentParser
import Settings

struct ReloadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload",
        abstract: "Has a running policy daemon, or proxy, read its configuration again.",
        discussion: """
            It takes over all of it or, where there is a mistake, nothing.

            Exit status: 0 reloaded, 1 refused, with the mistakes, 2 nobody answers.
            """)

    @OptionGroup var options: AdminOptions

    func run() throws {
        let reply = try options.admin.replyOrExit("POST", "/reload")
        guard reply.status == 200 else {
            StandardError.print(reply.text)
            // A refusal is the listener's; anything else comes from somebody else.
            throw ExitCode(reply.status == 422 ? 1 : 2)
        }
        print(reply.text)
    }
}
