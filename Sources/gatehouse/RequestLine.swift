import Bytes
import HTTPMessage
import Policy
import Settings

/// A method and a target, made what the proxy makes of them: that is what a daemon judges.
enum RequestLine {
    /// Reads `GET /api/projects?page=1`.
    static func parse(_ text: String) throws(UnusableTarget) -> (method: String, target: String) {
        let words = text.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        guard words.count == 2, !words[0].isEmpty, words[0].utf8.allSatisfy(\.isVisible) else { throw UnusableTarget("not two words") }
        return (words[0], try normalize(words[1], method: words[0]))
    }

    /// The target as the proxy forwards it.
    static func normalize(_ target: String, method: String) throws(UnusableTarget) -> String {
        guard !target.isEmpty, target.utf8.allSatisfy(\.isVisible), target.hasPrefix("/") || target == "*" else {
            throw UnusableTarget("the path \(target.debugDescription); accepted: visible ASCII that begins with /, or *")
        }
        let name = Array(method.utf8)
        let buffer = ByteBuffer(capacity: target.utf8.count)
        buffer.append(utf8: target)
        do throws(MessageRefusal) {
            let normal = try RequestTarget.normalize(ByteRange(0..<buffer.count), method: Method.of(name.span), host: .empty, in: buffer)
            return normal.range.bytes(in: buffer.bytes).text
        } catch {
            throw UnusableTarget("the proxy answers \(error.status): \(error.message)")
        }
    }
}

/// A target that no daemon comes to see.
struct UnusableTarget: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

extension UInt8 {
    fileprivate var isVisible: Bool { self > 0x20 && self < 0x7F }
}

extension Form where Value == String {
    /// An IP address.
    static var clientAddress: Form {
        Form(accepted: "an IP address") { text in IPAddress(Array(text.utf8).span) == nil ? nil : text }
    }
}
