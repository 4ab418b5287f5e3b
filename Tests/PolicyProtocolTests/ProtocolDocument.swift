import Foundation
import Testing

/// One frame out of protocol.md: its label and its bytes.
struct DocumentedFrame: CustomTestStringConvertible {
    let label: String
    let bytes: [UInt8]
    /// The offset that each line states, and the one at which its bytes really stand.
    let offsets: [(stated: Int, real: Int)]

    var payload: [UInt8] { Array(bytes.dropFirst(8)) }
    var testDescription: String { label }
}

/// The page that a stranger writes a client from.
enum ProtocolDocument {
    static let text: String = {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        return (try? String(contentsOf: root.appending(path: "protocol.md"), encoding: .utf8)) ?? ""
    }()

    /// Every block fenced as `hex LABEL`: `offset  bytes  # words`, line by line.
    static let frames: [DocumentedFrame] = {
        var frames: [DocumentedFrame] = []
        var label: String?
        var bytes: [UInt8] = []
        var offsets: [(stated: Int, real: Int)] = []
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if let open = label {
                if line == "```" {
                    frames.append(DocumentedFrame(label: open, bytes: bytes, offsets: offsets))
                    (label, bytes, offsets) = (nil, [], [])
                } else {
                    let columns = line.prefix { $0 != "#" }.split(separator: " ")
                    offsets.append((Int(columns[0]) ?? -1, bytes.count))
                    bytes += columns.dropFirst().map { UInt8($0, radix: 16)! }
                }
            } else if line.hasPrefix("```hex ") {
                label = String(line.dropFirst(7))
            }
        }
        return frames
    }()

    static func frame(_ label: String) -> DocumentedFrame { frames.first { $0.label == label }! }
}
