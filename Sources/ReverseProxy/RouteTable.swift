import Bytes
import HTTPMessage

/// Which upstream a path belongs to: the longest prefix wins, and a prefix ends at a segment's end.
struct RouteTable {
    private struct Entry {
        let prefix: [UInt8]
        let index: Int
    }

    private let entries: [Entry]

    init(_ routes: [Route]) {
        entries = routes.enumerated()
            .map { Entry(prefix: Array($0.element.prefix.utf8), index: $0.offset) }
            .sorted { $0.prefix.count > $1.prefix.count }
    }

    /// The place, among the routes the table was made of, of the one for `path`, a normal form without its query.
    func match(_ path: Span<UInt8>) -> Int? {
        for entry in entries where Self.isPrefix(entry.prefix.span, of: path) { return entry.index }
        return nil
    }

    private static func isPrefix(_ prefix: Span<UInt8>, of path: Span<UInt8>) -> Bool {
        guard path.count >= prefix.count, path.extracting(0..<prefix.count).equals(prefix) else { return false }
        return path.count == prefix.count || prefix.count == 1 || path[prefix.count] == UInt8(ascii: "/")
    }
}
