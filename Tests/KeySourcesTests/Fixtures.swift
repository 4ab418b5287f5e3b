import EventLoop
import Foundation
import Logging
import Synchronization
import Testing

@testable import KeySources

/// A clock that stands still until it is moved.
final class HandClock: Sendable {
    private let milliseconds = Atomic<Int64>(1_000_000)
    var now: Int64 { milliseconds.load(ordering: .relaxed) }

    /// Moves on, and has the keeper see it.
    func advance(seconds: Double, _ keeper: KeyKeeper) {
        milliseconds.add(Int64(seconds * 1000), ordering: .relaxed)
        keeper.wake()
    }
}

/// A keeper of a test's own on a clock of its own, ended with the test.
final class Keeping {
    let clock = HandClock()
    let log = LoggedLines()
    let keeper: KeyKeeper

    init(_ sources: [KeySource], apiKeys: APIKeySource? = nil, takingOver previous: KeyKeeper? = nil) throws {
        // A connection that a server has ended must not end the tests.
        _ = Self.brokenPipesAreIgnored
        keeper = try KeyKeeper(
            sources, apiKeys: apiKeys, takingOver: previous, logger: Logger(label: "test") { [log] _ in log },
            clock: { [clock] in clock.now })
        try keeper.start()
    }

    deinit { keeper.stop() }

    private static let brokenPipesAreIgnored: Void = { _ = Signals(taking: []) }()

    func advance(seconds: Double) { clock.advance(seconds: seconds, keeper) }

    /// The names of the keys that admit anything, in order; nil where there are none yet.
    func ids(_ index: Int = 0) -> [String]? {
        keeper.keys(index)?.keys.filter { !$0.algorithms.isEmpty }.map { $0.id ?? "" }
    }

    /// Returns once `count` looks at the source have ended.
    func waitForFetches(_ count: Int, _ index: Int = 0) async throws {
        try await wait("\(count) fetches") { self.keeper.status(index).fetches >= count && !self.keeper.isFetching(index) }
    }
}

/// Asks until it is so, for ten seconds at the most.
func wait(_ what: String, _ isSo: () -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(10)
    while !isSo() {
        try #require(ContinuousClock.now < deadline, "no \(what) within ten seconds")
        try await Task.sleep(for: .milliseconds(2))
    }
}

/// A directory of a test's own.
final class Directory {
    let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appending(path: "gatehouse-keys-\(UInt32.random(in: 0 ... .max))")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    func path(_ name: String) -> String { url.appending(path: name).path }

    /// Writes in place.
    @discardableResult
    func write(_ text: String, to name: String) throws -> String {
        try Data(text.utf8).write(to: url.appending(path: name))
        return path(name)
    }

    /// Writes beside it and renames.
    func replace(_ name: String, with text: String) throws {
        try write(text, to: "new")
        #expect(unsafe rename(path("new"), path(name)) == 0)
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
