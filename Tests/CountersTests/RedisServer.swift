import EventLoop
import Foundation
import Logging
import Synchronization

@testable import Counters

/// A real Redis of a test's own, on a Unix socket in a directory of its own.
final class RedisServer {
    let directory: URL
    /// 0 for one that is on its Unix socket only.
    let port: Int
    private let arguments: [String]
    private var process: Process?

    var path: String { directory.appending(path: "redis.sock").path }
    var address: RedisAddress { RedisAddress(place: .unix(path: path)) }

    /// - Parameter options: more of its command line.
    convenience init(port: Int = 0, _ options: [String] = []) throws {
        try self.init(port: port) { directory in
            [
                "--port", "\(port)", "--bind", "127.0.0.1", "--unixsocket", directory.appending(path: "redis.sock").path,
                "--save", "", "--dir", directory.path, "--daemonize", "no",
            ] + options
        }
    }

    /// A sentinel of the master that is at `watchedPort`.
    convenience init(port: Int, watching name: String, at watchedPort: Int, _ settings: [String]) throws {
        try self.init(port: port) { directory in
            // It writes what it finds out into its file.
            let file = directory.appending(path: "sentinel.conf")
            let lines = [
                "port \(port)", "bind 127.0.0.1", "unixsocket \(directory.appending(path: "redis.sock").path)",
                "dir \(directory.path)", "sentinel monitor \(name) 127.0.0.1 \(watchedPort) 2",
            ]
            try Data((lines + settings.map { "sentinel " + $0 } + [""]).joined(separator: "\n").utf8).write(to: file)
            return [file.path, "--sentinel"]
        }
    }

    private init(port: Int, arguments: (URL) throws -> [String]) throws {
        self.port = port
        directory = FileManager.default.temporaryDirectory.appending(path: "gatehouse-redis-\(UInt32.random(in: 0 ... .max))")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        self.arguments = try arguments(directory)
        try start()
    }

    deinit {
        kill()
        try? FileManager.default.removeItem(at: directory)
    }

    /// Starts it, and waits until it answers.
    func start() throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["redis-server"] + arguments
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        self.process = process
        while try !ask("PING").hasPrefix("PONG") {
            guard process.isRunning else { throw CocoaError(.executableLoad) }
        }
    }

    func kill() {
        guard let process else { return }
        resume()
        Foundation.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        self.process = nil
    }

    /// Stops it from answering, without closing anything.
    func pause() { if let process { Foundation.kill(process.processIdentifier, SIGSTOP) } }
    func resume() { if let process { Foundation.kill(process.processIdentifier, SIGCONT) } }

    /// What `redis-cli` prints for a command.
    @discardableResult
    func ask(_ words: String...) throws -> String { try ask(words) }

    @discardableResult
    func ask(_ words: [String]) throws -> String {
        let client = Process()
        let pipe = Pipe()
        client.executableURL = URL(filePath: "/usr/bin/env")
        client.arguments = ["redis-cli", "-s", path] + words
        client.standardOutput = pipe
        client.standardError = FileHandle.nullDevice
        try client.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        client.waitUntilExit()
        return String(decoding: output, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// How often Redis ran a command.
    func calls(of command: String) throws -> Int {
        let line = try ask("INFO", "commandstats").split(whereSeparator: \.isNewline).first { $0.hasPrefix("cmdstat_\(command):") }
        let count = line?.drop { $0 != "=" }.dropFirst().prefix { $0.isNumber }
        return count.flatMap { Int($0) } ?? 0
    }

    /// How many keys there are, and how many of them will expire.
    func keys() throws -> (all: Int, expiring: Int) {
        let line = try ask("INFO", "keyspace").split(whereSeparator: \.isNewline).first { $0.hasPrefix("db0:") } ?? ""
        let numbers = line.split(whereSeparator: { !$0.isNumber }).compactMap { Int($0) }
        return numbers.count > 2 ? (numbers[1], numbers[2]) : (0, 0)
    }
}

/// Keeps what is logged.
final class LoggedLines: LogHandler, Sendable {
    private let kept = Mutex<[String]>([])
    var lines: [String] { kept.withLock { $0 } }

    func log(event: LogEvent) { kept.withLock { $0.append("\(event.level): \(event.message)") } }

    subscript(metadataKey _: String) -> Logger.Metadata.Value? {
        get { nil }
        set {}
    }
    var metadata: Logger.Metadata {
        get { [:] }
        set {}
    }
    var logLevel: Logger.Level {
        get { .trace }
        set {}
    }
}
