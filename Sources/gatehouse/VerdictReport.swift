import Bytes
import PolicyProtocol

/// A verdict in words.
struct VerdictReport: Sendable {
    /// What is done to a header.
    struct HeaderChange: Sendable {
        let name: String
        /// Nil where it is removed.
        let value: String?
    }

    let isAllowed: Bool
    let reason: String
    let subject: String?
    /// Of a denial.
    let status: UInt16?
    /// What takes the place of the request's query, where that changes.
    let query: String?
    /// In the order in which they are done.
    let requestHeaders: [HeaderChange]
    let responseHeaders: [HeaderChange]
    let body: String
    /// Names of headers that the daemon does not want to see.
    let unsentHeaders: [String]

    init(_ verdict: VerdictMessage, _ payload: Span<UInt8>, unsentHeaders: [String] = []) {
        isAllowed = verdict.decision == .allow
        reason = verdict.reason.bytes(in: payload).text
        subject = verdict.subject?.bytes(in: payload).text
        status = verdict.status
        query = verdict.query?.bytes(in: payload).text
        requestHeaders = Self.changes(.request, payload)
        responseHeaders = Self.changes(.response, payload)
        body = verdict.body.bytes(in: payload).text
        self.unsentHeaders = unsentHeaders
    }

    private static func changes(_ side: OperationSide, _ payload: Span<UInt8>) -> [HeaderChange] {
        var changes: [HeaderChange] = []
        var position = 0
        while let operation = VerdictMessage.nextOperation(on: side, in: payload, from: &position) {
            let value = operation.kind == .set ? operation.value.bytes(in: payload).text : nil
            changes.append(HeaderChange(name: operation.name.bytes(in: payload).text, value: value))
        }
        return changes
    }

    /// A line a fact: the decision first, then reason, subject, and what is done to the request and the response.
    var report: String {
        var lines = [isAllowed ? "allow" : "deny", "reason: " + printable(reason)]
        if let subject { lines.append("subject: " + printable(subject)) }
        if let status { lines.append("status: \(status)") }
        if let query { lines.append("request: query " + (query.isEmpty ? "none" : printable(query))) }
        lines += requestHeaders.map { "request: " + $0.report }
        lines += responseHeaders.map { "response: " + $0.report }
        if !body.isEmpty { lines.append("body: " + printable(body)) }
        return lines.joined(separator: "\n")
    }
}

extension VerdictReport.HeaderChange {
    fileprivate var report: String { value.map { "set \(printable(name)): \(printable($0))" } ?? "remove \(printable(name))" }
}

/// The text without a control character that could reach the terminal.
func printable(_ text: String) -> String {
    var shown = ""
    for scalar in text.unicodeScalars {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: shown += scalar.escaped(asASCII: true)
        default: shown.unicodeScalars.append(scalar)
        }
    }
    return shown
}
