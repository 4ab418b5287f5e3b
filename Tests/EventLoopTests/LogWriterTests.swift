import EventLoop
import Foundation
import Testing

@Suite struct `A log writer` {
    private let path = NSTemporaryDirectory() + "writer-\(UUID().uuidString).log"

    private func write(_ text: String, to writer: LogWriter) {
        let bytes = Array(text.utf8)
        writer.write(bytes.span, lineCount: text.count { $0 == "\n" })
    }

    private func content(_ path: String) -> String? { try? String(contentsOfFile: path, encoding: .utf8) }

    private static let aboutDropped: @Sendable (Int) -> [UInt8] = { Array("\($0) dropped\n".utf8) }

    @Test func `appends to its file`() throws {
        defer { try? FileManager.default.removeItem(atPath: path) }
        for text in ["one\n", "two\nthree\n"] {
            let writer = try LogWriter(path: path, lineAboutDropped: Self.aboutDropped)
            write(text, to: writer)
            writer.finish()
            writer.run()
        }
        #expect(content(path) == "one\ntwo\nthree\n")
    }

    @Test func `goes on in a new file once the old one was renamed`() throws {
        let old = path + ".1"
        defer { for path in [path, old] { try? FileManager.default.removeItem(atPath: path) } }
        let writer = try LogWriter(path: path, lineAboutDropped: Self.aboutDropped)
        try FileManager.default.moveItem(atPath: path, toPath: old)
        try writer.reopen()
        try writer.reopen()
        write("new\n", to: writer)
        writer.finish()
        writer.run()
        #expect(content(old) == "")
        #expect(content(path) == "new\n")
    }

    @Test func `writes the old file on where a new one can't be opened`() throws {
        let directory = path + ".d"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let moved = path + ".moved"
        defer { try? FileManager.default.removeItem(atPath: moved) }
        let writer = try LogWriter(path: directory + "/log", lineAboutDropped: Self.aboutDropped)
        try FileManager.default.moveItem(atPath: directory, toPath: moved)
        #expect(throws: SystemError.self) { try writer.reopen() }
        write("still\n", to: writer)
        writer.finish()
        writer.run()
        #expect(content(moved + "/log") == "still\n")
    }

    @Test func `goes on in another file, and in the one before where that can't be opened`() throws {
        let other = path + ".other"
        defer { for path in [path, other] { try? FileManager.default.removeItem(atPath: path) } }
        let writer = try LogWriter(path: path, lineAboutDropped: Self.aboutDropped)
        let written = try SystemThread(name: "log") { writer.run() }
        write("one\n", to: writer)
        while content(path) != "one\n" { SystemThread.pause(milliseconds: 1) }
        try writer.move(to: other)
        #expect(throws: SystemError.self) { try writer.move(to: "/nowhere/log") }
        try writer.reopen()
        write("two\n", to: writer)
        writer.finish()
        written.join()
        #expect(content(path) == "one\n")
        #expect(content(other) == "two\n")
    }

    @Test func `tells a missing directory by the path`() {
        #expect { try LogWriter(path: "/nowhere/log", lineAboutDropped: Self.aboutDropped) } throws: { error in
            "\(error)" == "open /nowhere/log: No such file or directory"
        }
    }

    @Test func `counts what could not be written`() throws {
        let writer = try LogWriter(path: "/dev/full", lineAboutDropped: Self.aboutDropped)
        write("one\ntwo\n", to: writer)
        writer.finish()
        writer.run()
        #expect(writer.droppedLineCount == 2)
    }

    @Test func `drops lines rather than hold too many, and says how many`() throws {
        defer { try? FileManager.default.removeItem(atPath: path) }
        let writer = try LogWriter(path: path, lineAboutDropped: Self.aboutDropped)
        let line = String(repeating: "a", count: 1024 * 1024 - 1) + "\n"
        for _ in 0..<11 { write(line, to: writer) }
        writer.finish()
        writer.run()
        #expect(writer.droppedLineCount == 3)
        #expect(content(path)?.hasSuffix("a\n3 dropped\n") == true)
    }
}
