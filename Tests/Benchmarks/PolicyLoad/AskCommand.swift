import ArgumentParser
import EventLoop
import Foundation

/// Keeps questions in flight over one connection to a policy daemon, and says what a decision costs it.
///
/// Limits and caches are the daemon's: start it with limits that nobody reaches and one worker, and with a cache that holds all
/// tokens or, so that each is new whenever its turn comes, next to none.
struct AskCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "ask", abstract: "Keep a daemon busy.")

    @Option(help: "The daemon's socket.") var socket: String
    @Option(help: "The daemon's process id, for its CPU time.") var pid: Int32
    @Option(help: "A file with the tokens that are used in turn, one a line.") var tokens: String
    @Flag(help: "Spoil the tokens' signatures.") var forged = false
    @Option(help: "What is spoken: gatehouse, or spop.") var dialect = Dialect.gatehouse
    @Option(help: "How many questions are unanswered at any time.") var inFlight = 256
    @Option(help: "How many decisions are measured.") var decisions = 4_000_000

    enum Dialect: String, ExpressibleByArgument {
        case gatehouse, spop
    }

    func run() throws {
        let tokens = try TokenFile(tokens).texts(areForged: forged)
        let loop = try EventLoop()
        let client = LoadClient(loop: loop, dialect == .spop ? SPOPDialect(tokens) : try OwnDialect(tokens))
        let thread = try SystemThread(name: "policy-load") { loop.run() }
        let done = DispatchSemaphore(value: 0)
        let (socket, inFlight, decisions, pid) = (socket, inFlight, decisions, pid)
        Task(executorPreference: loop) {
            do {
                try await client.connect(to: socket)
                // The first round makes every token and every counter known, as far as the daemon is to know them.
                let warmUp = try await client.ask(tokens.count, inFlight: inFlight)
                let before = try ProcessorTime.nanoseconds(ofProcess: pid)
                let start = Clock.monotonicNanoseconds()
                let measured = try await client.ask(decisions, inFlight: inFlight)
                let seconds = Double(Clock.monotonicNanoseconds() - start) / 1e9
                let cost = Double(try ProcessorTime.nanoseconds(ofProcess: pid) - before) / Double(decisions)
                print("allowed \(measured.allowed) of \(decisions) (first round: \(warmUp.allowed) of \(tokens.count))")
                print("decisions/s by the clock: \(Int(Double(decisions) / seconds))")
                print("CPU ns a decision: \(Int(cost))")
                print("decisions/s of one core: \(Int(1e9 / cost))")
            } catch {
                print("failed: \(error)")
            }
            await client.stop()
            done.signal()
        }
        done.wait()
        thread.join()
    }
}
