import ArgumentParser
import EventLoop
import Foundation
import PolicyClient
import PolicyProtocol

struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Asks the policy socket about one request, and prints the verdict.",
        discussion: """
            The request counts as any other does.

            Exit status: 0 allowed, 1 denied, 2 nobody could be asked.
            """)

    @Option(help: "The token, sent as Authorization: Bearer.")
    var token: String?

    @Option(help: "The request's path, and perhaps its query.")
    var path: String

    @Option(help: "The request's method.")
    var method = "GET"

    @Option(help: "The request's host.")
    var host = "localhost"

    @Option(name: .customLong("header"), help: "A header of the request, 'Name: value'. May be repeated.")
    var headers: [Header] = []

    @Option(help: CertificateArgument.help)
    var certificate: CertificateArgument?

    @Option(help: "The policy socket. Default: POLICY_SOCKET, else a daemon's of your own, else /run/gatehouse/policy.sock. Of several, separated by commas, the first that answers is asked.")
    var socket: String?

    /// Asks what a proxy would ask: in the normal form, and nobody about a path that has none.
    mutating func validate() throws {
        do throws(UnusableTarget) {
            path = try RequestLine.normalize(path, method: method)
        } catch {
            throw ValidationError("\(error)")
        }
    }

    func run() throws {
        let request = CheckArguments(
            method: method, host: host, path: path,
            headers: headers + (token.map { [Header(name: "authorization", value: "Bearer " + $0)] } ?? []),
            certificate: certificate?.certificate)
        var complaints: [String] = []
        for path in Self.socketPaths(socket, environment: ProcessInfo.processInfo.environment) {
            switch ask(request, at: path) {
            case .success(let answer):
                for name in answer.unsentHeaders { complain("the policy daemon does not look at \(name): not sent") }
                print(answer.report)
                throw answer.isAllowed ? ExitCode.success : ExitCode(1)
            case .failure(let failure): complaints.append("\(path): \(failure)")
            }
        }
        for complaint in complaints { complain("nobody could be asked on \(complaint)") }
        throw ExitCode(2)
    }

    /// Where to ask: what was given, else POLICY_SOCKET, else the usual places.
    static func socketPaths(_ given: String?, environment: [String: String]) -> [String] {
        let list = given ?? environment["POLICY_SOCKET"] ?? ""
        let paths = list.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
        return paths.isEmpty ? PolicySocket.usualPaths(environment: environment) : paths
    }

    private func complain(_ words: String) { FileHandle.standardError.write(Data("gatehouse: \(words)\n".utf8)) }
}
