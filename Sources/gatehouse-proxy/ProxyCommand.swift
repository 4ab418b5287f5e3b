import ArgumentParser
import FoundationEssentials
import Logging
import ReverseProxy
import Settings

/// `gatehouse-proxy`: reads its configuration, then serves until it is told to stop.
struct ProxyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gatehouse-proxy",
        abstract: "An HTTP proxy that asks a policy socket about every request before it forwards it.",
        discussion: """
            Without a file, the environment alone configures it: PORT, HOST, POLICY_SOCKET, WORKERS, LOG_FORMAT. With one, \
            the environment overrides it.
            """,
        version: Release.version)

    @Option(help: ArgumentHelp("The configuration, in YAML.", valueName: "file"))
    var config: String?

    @Flag(help: "Look for mistakes in the configuration, say what was found, and exit with 0 or 1.")
    var check = false

    func run() throws {
        let path = config
        // Also for a reload: the environment is the process's own, and what it overrides it overrides again.
        let read: @Sendable () throws(InvalidConfiguration) -> ProxyConfiguration = { () throws(InvalidConfiguration) in
            try ProxyConfiguration.read(
                text: try path.map { path throws(InvalidConfiguration) in try ConfigurationFile.text(path) },
                file: path ?? "", environment: ProcessInfo.processInfo.environment)
        }
        let proxy: ProxyConfiguration
        do {
            proxy = try read()
        } catch {
            StandardError.print("\(error)")
            throw ExitCode.failure
        }
        if check {
            do {
                try proxy.checkCertificates()
            } catch {
                StandardError.print("\(error)")
                throw ExitCode.failure
            }
            return print(proxy.summary)
        }
        try serve(proxy, readAgain: read)
    }

    private func serve(
        _ configuration: ProxyConfiguration, readAgain: @escaping @Sendable () throws(InvalidConfiguration) -> ProxyConfiguration
    ) throws(ExitCode) {
        var logger = Logger(label: Self._commandName) { DiagnosticsLog(label: $0) }
        logger.logLevel = configuration.logLevel
        do {
            try Proxy(configuration, readAgain: readAgain, logger: logger).run()
        } catch {
            StandardError.print("\(Self._commandName): cannot start: \(error)")
            throw .failure
        }
    }
}

extension ProxyConfiguration {
    /// What a configuration without mistakes amounts to.
    fileprivate var summary: String {
        var lines = [
            "no mistakes",
            "listens on \(allListeners.map(\.url).joined(separator: ", "))",
            "workers: \(workers)",
            "asks \(policySockets.joined(separator: ", "))",
        ]
        for route in routes { lines.append("\(route.prefix) -> \(route.upstream.summary)") }
        return lines.joined(separator: "\n")
    }
}
