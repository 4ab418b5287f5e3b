import JSON

/// What a rule demands of the client's certificate. Without one no such condition holds, one that negates neither.
public struct CertificateCondition: Sendable {
    public let fact: CertificateFact
    private let test: ClaimCondition.Test
    public let reason: ConditionReason

    /// - Parameter test: of texts: `equals` holds for a list that has the text, since a certificate may have several names.
    public init(_ fact: CertificateFact, _ test: ClaimCondition.Test, reason: ConditionReason = .conditionFailed) throws(RuleMistake) {
        self.fact = fact
        self.test = try Self.normal(test, fact)
        self.reason = reason
    }

    private static func normal(_ test: ClaimCondition.Test, _ fact: CertificateFact) throws(RuleMistake) -> ClaimCondition.Test {
        switch test {
        case .equals(let value): return .anyOf(try normal([value], fact))
        case .anyOf(let values): return .anyOf(try normal(values, fact))
        case .allOf(let values): return .allOf(try normal(values, fact))
        case .exists: return .exists
        case .not(let test): return .not(try normal(test, fact))
        case .containsScope: throw RuleMistake("no certificate has scopes")
        }
    }

    private static func normal(_ values: [JSONValue], _ fact: CertificateFact) throws(RuleMistake) -> [JSONValue] {
        guard !values.isEmpty else { throw RuleMistake("the condition on the certificate has an empty list; at least one value is needed") }
        var texts: [JSONValue] = []
        for value in values {
            guard let text = value.string else { throw RuleMistake("the condition on the certificate has something else than texts") }
            texts.append(.string(try fact.normal(text)))
        }
        return texts
    }

    public func holds(for request: borrowing RequestView) -> Bool {
        request.parts.certificate != nil && test.holds(for: request.certificate(fact))
    }
}
