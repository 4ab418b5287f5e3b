import EventLoop
import Foundation
import TestSupport

/// `openssl s_server` on a port of its own.
final class TLSServer {
    let port: Int
    private let process = Process()
    let output: URL

    /// - Parameter mode: how it treats its clients: `-rev` turns each line around, `-quiet` prints what comes.
    init(_ authority: TestAuthority, _ identity: (certificate: String, key: String), _ mode: String...) throws {
        port = try freePort()
        output = authority.directory.appending(path: "output-\(port)")
        try Data().write(to: output)
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments =
            ["openssl", "s_server", "-accept", "127.0.0.1:\(port)", "-cert", identity.certificate, "-key", identity.key] + mode
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = FileHandle.nullDevice
        // One that reads its own input ends at its end.
        process.standardInput = Pipe()
        try process.run()
        while !isListening { usleep(2000) }
    }

    deinit {
        kill(identifier, SIGKILL)
        process.waitUntilExit()
    }

    var identifier: Int32 { process.processIdentifier }

    func pause() { kill(identifier, SIGSTOP) }

    /// Seen from the kernel's table, since a connection for a try would be served.
    private var isListening: Bool {
        let wanted = String(format: ":%04X 00000000:0000 0A", port)
        // Its size is said to be 0, which reading it whole would believe.
        let table = try? FileHandle(forReadingFrom: URL(filePath: "/proc/net/tcp")).read(upToCount: 1 << 20)
        return table.map { String(decoding: $0, as: UTF8.self).contains(wanted) } ?? false
    }
}
