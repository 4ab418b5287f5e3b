import ArgumentParser
import FoundationEssentials
import Logging
import PolicyDaemon
import Settings

/// `gatehouse-policyd`: reads its configuration, then decides until it is told to stop.
struct PolicyDaemonCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gatehouse-policyd",
        abstract: "Answers on a Unix socket whether a request is allowed, and as whom.",
        discussion: """
            Without a file, the environment alone configures it: JWT_SECRET, REDIS_URL, RATE_LIMIT, RATE_WINDOW_SECONDS, \
            POLICY_SOCKET, WORKERS. With one, the environment overrides it.
            """,
        version: Release.version)

    @Option(help: ArgumentHelp("The configuration, in YAML.", valueName: "file"))
    var config: String?

    @Flag(help: "Look for mistakes in the configuration, say what was found, and exit with 0 or 1.")
    var check = false

    func run() throws {
        let path = config
        // Also for a reload: the environment is the process's own, and what it overrides it overrides again.
        let read: @Sendable () throws(InvalidConfiguration) -> DaemonConfiguration = { () throws(InvalidConfiguration) in
            try DaemonConfiguration.read(
                text: try path.map { path throws(InvalidConfiguration) in try ConfigurationFile.text(path) },
                file: path ?? "", environment: ProcessInfo.processInfo.environment)
        }
        let daemon: DaemonConfiguration
        do {
            daemon = try read()
        } catch {
            StandardError.print("\(error)")
            throw ExitCode.failure
        }
        if check {
            do {
                try daemon.checkCertificates()
            } catch {
                StandardError.print("\(error)")
                throw ExitCode.failure
            }
            return print(daemon.summary)
        }
        try serve(daemon, readAgain: read)
    }

    private func serve(
        _ configuration: DaemonConfiguration, readAgain: @escaping @Sendable () throws(InvalidConfiguration) -> DaemonConfiguration
    ) throws(ExitCode) {
        var logger = Logger(label: Self._commandName) { DiagnosticsLog(label: $0) }
        logger.logLevel = configuration.logLevel
        do {
            try Daemon(configuration, readAgain: readAgain, logger: logger).run()
        } catch {
            StandardError.print("\(Self._commandName): cannot start: \(error)")
            throw .failure
        }
    }
}
