import Bytes
import PolicyProtocol

/// A verdict in words.
struct Answer: Sendable {
    let isAllowed: Bool
    /// A line a fact: the decision first, then reason, subject, and what is done to the request and the response.
    let report: String
    /// Names of headers that the daemon does not want to see.
    let unsentHeaders: [String]

    init(_ verdict: VerdictMessage, _ payload: Span<UInt8>, unsentHeaders: [String]) {
        isAllowed = verdict.decision == .allow
        self.unsentHeaders = unsentHeaders
        var lines = [isAllowed ? "allow" : "deny", "reason: " + printable(verdict.reason.bytes(in: payload))]
        if let subject = verdict.subject { lines.append("subject: " + printable(subject.bytes(in: payload))) }
        if let status = verdict.status { lines.append("status: \(status)") }
        if let query = verdict.query { lines.append("request: query " + (query.isEmpty ? "none" : printable(query.bytes(in: payload)))) }
        lines += Self.operations(.request, "request", payload)
        lines += Self.operations(.response, "response", payload)
        if !verdict.body.isEmpty { lines.append("body: " + printable(verdict.body.bytes(in: payload))) }
        report = lines.joined(separator: "\n")
    }

    private static func operations(_ side: OperationSide, _ word: String, _ payload: Span<UInt8>) -> [String] {
        var lines: [String] = []
        var position = 0
        while let operation = VerdictMessage.nextOperation(on: side, in: payload, from: &position) {
            let name = printable(operation.name.bytes(in: payload))
            switch operation.kind {
            case .set: lines.append("\(word): set \(name): \(printable(operation.value.bytes(in: payload)))")
            case .remove: lines.append("\(word): remove \(name)")
            }
        }
        return lines
    }
}

/// The bytes as text in which no control character reaches the terminal.
func printable(_ bytes: Span<UInt8>) -> String {
    var text = ""
    for scalar in bytes.text.unicodeScalars {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: text += scalar.escaped(asASCII: true)
        default: text.unicodeScalars.append(scalar)
        }
    }
    return text
}
