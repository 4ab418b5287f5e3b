/// What a case expects of its verdict. What it says nothing of may be anything.
struct Expectation {
    /// A header and its value; nil where it must not be set.
    typealias ExpectedHeader = (name: String, value: String?)

    var isAllowed: Bool?
    var status: Int?
    var reason: String?
    var rule: String?
    var subject: String?
    /// Of the request as it is forwarded.
    var query: String?
    var requestHeaders: [ExpectedHeader] = []
    /// Of the request.
    var removedHeaders: [String] = []
    var responseHeaders: [ExpectedHeader] = []
    var bodyContains: [String] = []
}

/// Something that was expected to be otherwise.
struct Difference: Equatable {
    let subject: String
    let expected: String
    let found: String
}

extension Expectation {
    /// - Parameter rule: the one that was found; nil where none matches.
    func differences(from answer: VerdictReport, rule found: String?) -> [Difference] {
        var differences: [Difference] = []
        func compare(_ subject: String, _ expected: String?, _ found: String?) {
            guard let expected, expected != found else { return }
            differences.append(Difference(subject: subject, expected: expected, found: found ?? "none"))
        }
        compare("verdict", isAllowed.map { $0 ? "allow" : "deny" }, answer.isAllowed ? "allow" : "deny")
        compare("status", status.map(String.init), answer.status.map { String($0) })
        compare("reason", reason, answer.reason)
        compare("rule", rule, found)
        compare("subject", subject, answer.subject)
        compare("query", query, answer.query ?? "as it was")
        differences += Self.compare("request header", requestHeaders, answer.requestHeaders)
        for name in removedHeaders {
            let last = answer.requestHeaders.last { $0.name == name }
            guard let last, last.value == nil else {
                differences.append(Difference(subject: "request header \(name)", expected: "removed", found: last?.value ?? "left as it is"))
                continue
            }
        }
        differences += Self.compare("response header", responseHeaders, answer.responseHeaders)
        for text in bodyContains where !answer.body.contains(text) {
            differences.append(Difference(subject: "body", expected: "… \(text) …", found: answer.body.isEmpty ? "none" : answer.body))
        }
        return differences
    }

    private static func compare(_ subject: String, _ expected: [ExpectedHeader], _ found: [VerdictReport.HeaderChange]) -> [Difference] {
        expected.compactMap { header in
            let value = found.last { $0.name == header.name }?.value
            guard value != header.value else { return nil }
            return Difference(subject: "\(subject) \(header.name)", expected: header.value ?? "not set", found: value ?? "not set")
        }
    }
}
