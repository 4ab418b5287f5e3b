import EventLoop
import Foundation
import Logging
import Synchronization
import Testing

@testable import Succession

@Suite struct `A process that hands over` {
    /// Tries with another program than its own, and returns what it says of that.
    private func attempt(_ path: String, _ arguments: String..., readyMilliseconds: Int64 = 60_000) throws -> [String] {
        let said = Said()
        let handover = Handover(
            readyMilliseconds: readyMilliseconds,
            start: { descriptors throws(SystemError) in try StartedProcess.start(path, arguments, passing: descriptors) },
            logger: said.logger)
        #expect(try !handover.advance(ListeningSockets()))
        return said.untilNotHandedOver()
    }

    @Test func `gives up one that is not ready in time, and ends it`() throws {
        let lines = try attempt("/bin/sleep", "sleep", "600", readyMilliseconds: 1)
        #expect(lines.last?.hasSuffix("it was not ready in 1 ms") == true, "\(lines)")
        let process = try #require(lines.first?.firstMatch(of: /process (\d+) starts/))
        // Its parent may have yet to take note.
        let state = try? String(contentsOfFile: "/proc/\(process.1)/stat", encoding: .utf8)
        #expect(state.map { $0.contains(") Z ") } ?? true)
    }

    @Test func `gives up one that ends, that is not there, or that knows nothing of it`() throws {
        #expect(try attempt("/bin/sh", "sh", "-c", "exit 3").last?.hasSuffix(": it ended") == true)
        // With the connection left open by a child of its own.
        #expect(try attempt("/bin/sh", "sh", "-c", "sleep 2 & exit 3").last?.hasSuffix(": it ended") == true)
        #expect(try attempt("/bin/sh", "sh", "-c", "exec 3>&-; exec sleep 600").last?.hasSuffix("it knows nothing of a handover") == true)
        #expect(try attempt("/nowhere", "nowhere").last?.hasSuffix("start /nowhere: No such file or directory") == true)
    }

    @Test func `passes what it says that it passes, to a sibling of its own, and nothing else`() throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "gatehouse-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: file) }
        let script = """
            cd /proc/$$/fd; set -- *
            echo "$LISTEN_PID:$LISTEN_FDS:$LISTEN_FDNAMES:$PPID:$*" > \(file.path)
            """
        let lines = try attempt("/bin/sh", "sh", "-c", script)
        let process = try #require(lines.first?.firstMatch(of: /process (\d+) starts/)).1
        // Descriptor 4 is the directory's.
        let expected = "\(process):1:gatehouse-predecessor:\(getppid()):0 1 2 3 4\n"
        #expect(try String(contentsOf: file, encoding: .utf8) == expected)
    }
}

/// Keeps what is logged.
private final class Said: Sendable {
    private let lines = Mutex<[String]>([])

    var logger: Logger { Logger(label: "test") { _ in Handler(said: self) } }

    /// Waits until an attempt has failed.
    func untilNotHandedOver() -> [String] {
        while true {
            let lines = lines.withLock { $0 }
            if lines.last?.hasPrefix("not handed over") == true { return lines }
            SystemThread.pause(milliseconds: 1)
        }
    }

    private struct Handler: LogHandler {
        let said: Said
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        init(said: Said) { self.said = said }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) { said.lines.withLock { $0.append("\(event.message)") } }
    }
}
