import JSON
import Policy
import Settings

extension ClaimCondition {
    private enum Operator: String, CaseIterable {
        case equals, any_of, all_of, scopes, exists
    }

    /// Reads `conditions`: reasons to what must hold.
    static func readAll(_ section: Section) -> [ClaimCondition] {
        let entries = section.entries("conditions", accepted: "a map of reasons to what must hold of a claim") ?? []
        return entries.compactMap { entry in
            guard let options = entry.options(accepted: "a map: claim, and one of equals, any_of, all_of, scopes, exists") else { return nil }
            return read(entry.key, options)
        }
    }

    private static func read(_ reason: String, _ options: Section) -> ClaimCondition? {
        var claim: String?
        options.read("claim", .line, into: &claim)
        var isNegated = false
        options.read("not", .boolean, into: &isNegated)
        var value: TypedScalar?
        options.read("equals", .typedScalar, into: &value)
        var (any, all): ([TypedScalar], [TypedScalar]) = ([], [])
        options.readList("any_of", .typedScalar, into: &any)
        options.readList("all_of", .typedScalar, into: &all)
        var scopes: [String] = []
        options.readList("scopes", .line, into: &scopes)
        var exists: Bool?
        options.read("exists", .boolean, into: &exists)
        let given = Operator.allCases.filter { options.has($0.rawValue) }
        guard let claim else {
            if !options.has("claim") { options.report("has no claim", accepted: "claim: the path of one, as in realm_access.roles") }
            return nil
        }
        guard given.count == 1, let test = given.first else {
            options.report("has \(given.isEmpty ? "nothing that must hold" : "more than one thing that must hold")",
                accepted: "one of " + Operator.allCases.map(\.rawValue).joined(separator: ", "))
            return nil
        }
        // An empty list has been reported.
        guard test != .any_of || !any.isEmpty, test != .all_of || !all.isEmpty, test != .scopes || !scopes.isEmpty else { return nil }
        let wanted = (value.map { [$0] } ?? []) + any + all
        let values = wanted.compactMap { scalar in
            let value = JSONValue(scalar)
            if value == nil { options.report(test.rawValue, "has the number \(scalar.text), which JSON doesn't have", accepted: "quotes around a text") }
            return value
        }
        guard values.count == wanted.count, let path = options.claimPath("claim", claim) else { return nil }
        return options.attempt { () throws(RuleMistake) in
            var read: Test
            switch test {
            case .equals: read = .equals(values.first ?? .null)
            case .any_of: read = .anyOf(values)
            case .all_of: read = .allOf(values)
            case .scopes:
                var names: [Scope] = []
                for scope in scopes { names.append(try Scope(scope)) }
                read = .containsScope(names)
            case .exists: read = exists == false ? .not(.exists) : .exists
            }
            if isNegated { read = .not(read) }
            return try ClaimCondition(path, read, reason: ConditionReason(reason))
        }
    }
}
