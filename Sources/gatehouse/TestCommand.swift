import ArgumentParser
import EventLoop
import Foundation
import PolicyDaemon
import Settings

struct TestCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test",
        abstract: "Judges a table of requests by a policy daemon's configuration, and compares the verdicts.",
        discussion: """
            Nothing is asked: no daemon, no Redis, no address that keys are fetched from. The environment overrides the configuration, \
            as it does for the daemon.

            Exit status: 0 all cases passed, 1 one failed, 2 the configuration or the cases are unusable.
            """)

    @Argument(help: "The policy daemon's configuration.")
    var policy: String

    @Argument(help: "The cases.")
    var cases: String

    @Flag(name: .shortAndLong, help: "Name the cases that passed, too.")
    var verbose = false

    func run() throws {
        let judged: [JudgedCase]
        do {
            let rehearsal = try Rehearsal(policyFile: policy, environment: ProcessInfo.processInfo.environment)
            judged = try CaseFile.judge(
                try ConfigurationFile.text(cases), file: cases, by: rehearsal, nowUnixMilliseconds: Clock.unixMilliseconds())
        } catch {
            StandardError.print("\(error)")
            throw ExitCode(2)
        }
        print(Self.report(judged, isVerbose: verbose))
        throw judged.allSatisfy(\.hasPassed) ? ExitCode.success : ExitCode(1)
    }

    static func report(_ cases: [JudgedCase], isVerbose: Bool) -> String {
        let failed = cases.count { !$0.hasPassed }
        let told = cases.filter { isVerbose || !$0.hasPassed }.map(\.report)
        let summary = "\(cases.count) \(cases.count == 1 ? "case" : "cases"): \(cases.count - failed) passed, \(failed) failed"
        return (told + [summary]).joined(separator: "\n")
    }
}

extension Rehearsal {
    /// By the configuration in a file and the environment.
    init(policyFile path: String, environment: [String: String]) throws {
        try self.init(.read(text: try ConfigurationFile.text(path), file: path, environment: environment))
    }
}
