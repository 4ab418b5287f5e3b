import ArgumentParser
import EventLoop
import Foundation
import JSONWebToken
import Settings

struct VerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Verifies the tokens on standard input, one a line.",
        discussion: """
            For each it prints 'ok' and the payload, or 'refused' and the reason. A line is the token exactly: spaces refuse it. Empty \
            lines are skipped.

            Times are judged without leeway. A key without alg admits the algorithms of its type and curve.

            Exit status: 0 all were ok, 1 one was refused, 2 the keys or the arguments are unusable, or the tokens cannot be read.
            """)

    @Option(help: "The keys: a JWK, a JWK Set, or PEM (public key, certificate, or private key, of which the public half is used).")
    var keys: String

    @Option(help: "The algorithms to accept, separated by commas. Default: all that the keys admit.")
    var algorithms: AlgorithmList?

    @Option(parsing: .unconditional, help: "The time to judge by, in Unix seconds. Default: now.")
    var now: UnixTime?

    func run() throws {
        let isEachOK: Bool
        do {
            let keySet = try usableKeys()
            for key in keySet.keys {
                if let warning = key.warning { StandardError.print("gatehouse: \(keys): \(warning)") }
            }
            isEachOK = try TokenJudge(keySet, now: now?.seconds).judgeAll(from: STDIN_FILENO, to: .standardOutput)
        } catch {
            StandardError.print("gatehouse: \(error)")
            throw ExitCode(2)
        }
        throw isEachOK ? ExitCode.success : ExitCode(1)
    }

    private func usableKeys() throws(Failure) -> KeySet {
        let bytes: [UInt8]
        do {
            let file = try FileHandle(forReadingFrom: URL(filePath: keys))
            // One byte more than may be shows that there is more.
            bytes = Array(try file.read(upToCount: KeySet.maximumBytes + 1) ?? Data())
        } catch {
            throw Failure("the key file \(keys) cannot be read: \(error.localizedDescription)")
        }
        do {
            let all = try KeySet(bytes)
            guard let algorithms else { return all }
            let narrowed = all.narrowed(to: algorithms.algorithms)
            guard !narrowed.algorithms.isEmpty else {
                throw Failure(
                    "no key in \(keys) admits what --algorithms names; admitted: \(SignatureAlgorithm.names(all.algorithms))")
            }
            return narrowed
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure("the key file \(keys) has \(error)")
        }
    }
}

/// Names of algorithms, separated by commas.
struct AlgorithmList: ExpressibleByArgument {
    let algorithms: Set<SignatureAlgorithm>

    /// Nil where one is unknown, or there is none.
    init?(argument: String) {
        var algorithms: Set<SignatureAlgorithm> = []
        for name in argument.split(separator: ",", omittingEmptySubsequences: false) {
            guard let algorithm = SignatureAlgorithm(rawValue: String(name)) else { return nil }
            algorithms.insert(algorithm)
        }
        self.algorithms = algorithms
    }

    static var allValueStrings: [String] { SignatureAlgorithm.allCases.map(\.rawValue) }
}

/// A time as Unix seconds, perhaps with a fraction.
struct UnixTime: ExpressibleByArgument {
    let seconds: Double

    init?(argument: String) {
        guard argument.utf8.allSatisfy({ "-.0123456789".utf8.contains($0) }), let seconds = Double(argument), seconds.isFinite else {
            return nil
        }
        self.seconds = seconds
    }
}
