import Foundation
import Testing

/// A file of BadConfigurations: one way to be wrong. Its first lines say in what environment, and which messages it must earn.
struct BadConfiguration: CustomTestStringConvertible, Sendable {
    let name: String
    let text: String
    private(set) var environment: [String: String] = [:]
    private(set) var messages: [String] = []

    var testDescription: String { name }

    init(_ file: URL) throws {
        name = file.lastPathComponent
        text = try String(contentsOf: file, encoding: .utf8)
        for line in text.split(separator: "\n") {
            if line.hasPrefix("# expects: ") {
                messages.append(String(line.dropFirst(11)))
            } else if line.hasPrefix("# environment: ") {
                let parts = line.dropFirst(15).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                environment[String(parts[0])] = String(parts[1])
            }
        }
    }

    /// All beside this file, by name.
    static func all() throws -> [BadConfiguration] {
        let directory = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "BadConfigurations")
        return try FileManager.default.contentsOfDirectory(at: directory, includingPropertiesForKeys: nil)
            .sorted { $0.path < $1.path }.map { try BadConfiguration($0) }
    }
}

/// A file of the directory deploy/.
func deployed(_ name: String) throws -> String {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    return try String(contentsOf: root.appending(path: "deploy/\(name)"), encoding: .utf8)
}
