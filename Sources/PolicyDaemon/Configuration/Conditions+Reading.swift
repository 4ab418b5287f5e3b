import JSON
import Policy
import Settings

/// The conditions of a rule, by what they are about.
struct Conditions {
    private(set) var claims: [ClaimCondition] = []
    private(set) var certificate: [CertificateCondition] = []

    private enum Operator: String, CaseIterable {
        case equals, any_of, all_of, scopes, exists
    }

    /// Reads `conditions`: reasons to what must hold.
    init(_ section: Section) {
        let entries = section.entries("conditions", accepted: "a map of reasons to what must hold of a claim, or of the certificate") ?? []
        for entry in entries {
            guard let options = entry.options(accepted: "a map: claim or certificate, and one of equals, any_of, all_of, scopes, exists") else {
                continue
            }
            read(entry.key, options)
        }
    }

    private mutating func read(_ reason: String, _ options: Section) {
        var (claim, certificate): (String?, String?)
        options.read("claim", .line, into: &claim)
        options.read("certificate", .line, into: &certificate)
        let test = Self.test(options, isOfTexts: certificate != nil)
        switch (claim, certificate) {
        case (nil, nil):
            guard !options.has("claim"), !options.has("certificate") else { return }
            options.report("has no claim", accepted: "claim: the path of one, as in realm_access.roles; or certificate: \(CertificateFact.accepted)")
        case (let claim?, nil):
            guard let test, let path = options.claimPath("claim", claim) else { return }
            let condition = options.attempt { () throws(RuleMistake) in
                try ClaimCondition(path, test, reason: ConditionReason(reason))
            }
            if let condition { claims.append(condition) }
        case (nil, let name?):
            guard let test else { return }
            let condition = options.attempt { () throws(RuleMistake) in
                try CertificateCondition(CertificateFact(name), test, reason: ConditionReason(reason))
            }
            if let condition { self.certificate.append(condition) }
        case (_?, _?): options.report("has both claim and certificate", accepted: "one of them; a second condition for the other")
        }
    }

    /// What must hold. Nil where that is wrong, which is then reported.
    ///
    /// - Parameter isOfTexts: whether nothing but texts is compared, in quotes or not.
    private static func test(_ options: Section, isOfTexts: Bool) -> ClaimCondition.Test? {
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
        guard given.count == 1, let test = given.first else {
            if options.has("claim") || options.has("certificate") {
                options.report("has \(given.isEmpty ? "nothing that must hold" : "more than one thing that must hold")",
                    accepted: "one of " + Operator.allCases.map(\.rawValue).joined(separator: ", "))
            }
            return nil
        }
        // An empty list has been reported.
        guard test != .any_of || !any.isEmpty, test != .all_of || !all.isEmpty, test != .scopes || !scopes.isEmpty else { return nil }
        let wanted = (value.map { [$0] } ?? []) + any + all
        let values = wanted.compactMap { scalar in
            let value = isOfTexts ? .string(scalar.text) : JSONValue(scalar)
            if value == nil { options.report(test.rawValue, "has the number \(scalar.text), which JSON doesn't have", accepted: "quotes around a text") }
            return value
        }
        guard values.count == wanted.count else { return nil }
        return options.attempt { () throws(RuleMistake) in
            var read: ClaimCondition.Test
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
            return isNegated ? .not(read) : read
        }
    }
}
