import JSON

/// What a rule demands of one claim. A request that fails it is forbidden, with the condition's own reason.
public struct ClaimCondition: Sendable {
    public indirect enum Test: Sendable {
        /// The claim is this value.
        case equals(JSONValue)
        /// The claim is one of these values, or a list that has one of them.
        case anyOf([JSONValue])
        /// The claim is a list that has all these values, or the only one of them.
        case allOf([JSONValue])
        /// The claim grants all these scopes: a text with blanks between them (RFC 8693 §4.2, RFC 9068 §2.2.3), or a list.
        case containsScope([Scope])
        /// The claim is there, and not null.
        case exists
        /// The other test fails. It does where the claim is missing, so this then holds.
        case not(Test)
    }

    public let claim: ClaimPath
    public let test: Test
    public let reason: ConditionReason

    /// - Throws: where a list is empty, of which anything could be said.
    public init(_ claim: ClaimPath, _ test: Test, reason: ConditionReason = .conditionFailed) throws(RuleMistake) {
        guard !test.hasEmptyList else {
            throw RuleMistake("the condition on the claim \(quoted(claim.description)) has an empty list; at least one value is needed")
        }
        self.claim = claim
        self.test = test
        self.reason = reason
    }

    public func holds(for claims: JSONObject) -> Bool { test.holds(for: claim.value(in: claims)) }
}

extension ClaimCondition.Test {
    fileprivate var hasEmptyList: Bool {
        switch self {
        case .anyOf(let values), .allOf(let values): values.isEmpty
        case .containsScope(let scopes): scopes.isEmpty
        case .not(let test): test.hasEmptyList
        case .equals, .exists: false
        }
    }

    /// - Parameter value: the claim's; nil where it is missing.
    func holds(for value: JSONValue?) -> Bool {
        if case .not(let test) = self { return !test.holds(for: value) }
        guard let value else { return false }
        switch self {
        case .equals(let expected): return value.isSameValue(as: expected)
        case .anyOf(let expected): return expected.contains(where: value.holds)
        case .allOf(let expected): return expected.allSatisfy(value.holds)
        case .containsScope(let scopes): return scopes.allSatisfy { $0.isGranted(by: value) }
        case .exists: return value != .null
        case .not: return false
        }
    }
}

extension JSONValue {
    /// Whether this is `element`, or a list that has it.
    fileprivate func holds(_ element: JSONValue) -> Bool {
        if case .array(let elements) = self, elements.contains(where: { $0.isSameValue(as: element) }) { return true }
        return isSameValue(as: element)
    }
}

/// The name of one scope (RFC 6749 §3.3).
public struct Scope: Sendable, Hashable {
    let name: String

    public init(_ name: String) throws(RuleMistake) {
        guard !name.isEmpty, name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }) else {
            throw RuleMistake(#"\#(quoted(name)) is no scope: accepted is one name of visible ASCII without blanks, " and \"#)
        }
        self.name = name
    }

    func isGranted(by value: JSONValue) -> Bool {
        switch value {
        case .string(let text): text.utf8.split(separator: UInt8(ascii: " ")).contains { $0.elementsEqual(name.utf8) }
        case .array(let elements): elements.contains { $0.string?.utf8.elementsEqual(name.utf8) ?? false }
        default: false
        }
    }
}

/// The text by which verdicts, logs and metrics tell that a condition failed.
public struct ConditionReason: Sendable, Hashable {
    public let bytes: [UInt8]

    public static let conditionFailed = ConditionReason(bytes: Reason.conditionFailed.bytes)

    private init(bytes: [UInt8]) { self.bytes = bytes }

    /// - Throws: where the text is no reason, or one that means something else.
    public init(_ text: String) throws(RuleMistake) {
        let bytes = Array(text.utf8)
        guard (1...RuleLimits.reasonBytes).contains(bytes.count),
            bytes.allSatisfy({ Characters.isLower($0) || Characters.isDigit($0) || $0 == UInt8(ascii: "-") })
        else {
            throw RuleMistake("\(quoted(text)) is no reason: accepted are 1 to \(RuleLimits.reasonBytes) of a-z, 0-9 and -, as in not-an-admin")
        }
        guard !Reason.allCases.contains(where: { $0.bytes == bytes && bytes != Self.conditionFailed.bytes }) else {
            throw RuleMistake("the reason \(quoted(text)) has a meaning of its own; choose another")
        }
        self.bytes = bytes
    }
}
