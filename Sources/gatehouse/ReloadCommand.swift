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

    @Option(help: "The admin listener, as admin.listen says: 127.0.0.1:9464, [::1]:9464 or unix:/path.")
    var admin = AdminPlace(argument: "127.0.0.1:9464")!

    func run() throws {
        let reply = try admin.replyOrExit("POST", "/reload")
        guard reply.status == 200 else {
            StandardError.print(reply.text)
            // A refusal is the listener's; anything else comes from somebody else.
            throw ExitCode(reply.status == 422 ? 1 : 2)
        }
        print(reply.text)
    }
}

struct MetricsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "metrics",
        abstract: "Prints a running policy daemon's, or proxy's, metrics, in Prometheus' text format.",
        discussion: "Exit status: 0 printed, 2 nobody answers.")

    @Option(help: "The admin listener, as admin.listen says: 127.0.0.1:9464, [::1]:9464 or unix:/path.")
    var admin = AdminPlace(argument: "127.0.0.1:9464")!

    func run() throws {
        let reply = try admin.replyOrExit("GET", "/metrics")
        guard reply.status == 200 else {
            StandardError.print(reply.text)
            throw ExitCode(2)
        }
        print(reply.text)
    }
}

extension AdminPlace {
    /// - Throws: the exit status where nobody answers, after it has been said.
    fileprivate func replyOrExit(_ method: String, _ path: String) throws -> AdminReply {
        do {
            return try ask(method, path)
        } catch {
            StandardError.print("gatehouse: nobody answers on \(self): \(error)")
            throw ExitCode(2)
        }
    }
}

extension AdminReply {
    /// The answer's lines, without the end of the last one.
    fileprivate var text: String {
        body.split(separator: "\n", omittingEmptySubsequences: false).dropLast(body.hasSuffix("\n") ? 1 : 0).map { printable(String($0)) }
            .joined(separator: "\n")
    }
}
