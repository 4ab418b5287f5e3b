import Settings

extension Expectation {
    /// Reads `expect`, in one line or as a map. Nil where it is missing or wrong, which is then reported.
    static func read(_ section: Section) -> Expectation? {
        if case .map = section.tree("expect") { return read(details: section.section("expect")) }
        return section.require("expect", .expectation)
    }

    private static func read(details section: Section) -> Expectation {
        var expectation = Expectation()
        var decision: Word?
        section.read("verdict", .choice, into: &decision)
        expectation.isAllowed = decision.map { $0 == .allow }
        section.read("status", .integer(100...599), into: &expectation.status)
        section.read("reason", .line, into: &expectation.reason)
        section.read("rule", .name, into: &expectation.rule)
        section.read("subject", .line, into: &expectation.subject)
        section.read("query", .text, into: &expectation.query)
        expectation.requestHeaders = headers("request_headers", section)
        var removed: [String] = []
        section.readList("removed_headers", .line, mayBeNull: true, into: &removed)
        expectation.removedHeaders = removed.map { $0.lowercased() }
        expectation.responseHeaders = headers("response_headers", section)
        section.readList("body_contains", .line, mayBeNull: true, into: &expectation.bodyContains)
        return expectation
    }

    private static func headers(_ key: String, _ section: Section) -> [ExpectedHeader] {
        let members = section.members(key, accepted: "a map of headers to values, null where one must not be set") ?? []
        return members.compactMap { name, value in
            switch value {
            case .null: return (name.lowercased(), nil)
            case .value(let scalar): return (name.lowercased(), scalar.text)
            case .list, .map:
                section.report(key, "has no text for \(name.debugDescription)", accepted: "a text, or null where it must not be set")
                return nil
            }
        }
    }

    fileprivate enum Word: String, CaseIterable { case allow, deny }
}

extension Form where Value == Expectation {
    /// `allow`, `deny` or a status, and perhaps the reason.
    static var expectation: Form {
        Form(accepted: "allow, deny or a status, and perhaps the reason, as in 401 token-missing; or a map of details") { text in
            let words = text.split(separator: " ", omittingEmptySubsequences: false)
            guard let first = words.first, words.count <= 2, words.allSatisfy({ !$0.isEmpty }) else { return nil }
            var expectation = Expectation()
            if let word = Expectation.Word(rawValue: String(first)) {
                expectation.isAllowed = word == .allow
            } else {
                guard first.utf8.count == 3, let status = Int(first), (100...599).contains(status) else { return nil }
                expectation.status = status
            }
            expectation.reason = words.count > 1 ? String(words[1]) : nil
            return expectation
        }
    }
}
