// Claims and conditions read as they are: `["sub": "ada", "roles": ["admin"]]`.

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral,
    ExpressibleByDictionaryLiteral
{
    public init(stringLiteral text: String) { self = .string(text) }
    public init(integerLiteral number: Int64) { self = .number(JSONNumber(number)) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }

    /// - Precondition: no name appears twice.
    public init(dictionaryLiteral members: (String, JSONValue)...) { self = .object(JSONObject(unique: members)) }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
    /// - Precondition: no name appears twice.
    public init(dictionaryLiteral members: (String, JSONValue)...) { self.init(unique: members) }

    fileprivate init(unique members: [(String, JSONValue)]) {
        precondition(Set(members.map { Array($0.0.utf8) }).count == members.count, "a member's name appears twice")
        self.init(members.map { (name: $0.0, value: $0.1) })
    }
}
