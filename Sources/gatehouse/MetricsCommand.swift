import ArgumentParser
import Settings

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
