import ArgumentParser
import Settings

struct MetricsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "metrics",
        abstract: "Prints a running policy daemon's, or proxy's, metrics, in Prometheus' text format.",
        discussion: "Exit status: 0 printed, 2 nobody answers.")

    @OptionGroup var options: AdminOptions

    func run() throws {
        let reply = try options.admin.replyOrExit("GET", "/metrics")
        guard reply.status == 200 else {
            StandardError.print(reply.text)
            throw ExitCode(2)
        }
        print(reply.text)
    }
}
