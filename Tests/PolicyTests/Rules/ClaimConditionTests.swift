import JSON
import Testing

@testable import Policy

private func json(_ text: String) throws -> JSONValue { try JSONValue.parse(Array(text.utf8).span) }

private func holds(_ test: ClaimCondition.Test, _ claim: String, in text: String) throws -> Bool {
    try ClaimCondition(ClaimPath(claim), test).holds(for: claims(text))
}

@Suite struct `A condition` {
    @Test(arguments: [
        ("1", "1", true), ("1", "1.0", true), ("1", "10e-1", true), ("100", "1E2", true), ("0", "-0.00e7", true), ("1.50", "15e-1", true),
        ("123456789012345678901234567890", "123456789012345678901234567891", false), ("9007199254740993", "9007199254740992", false),
        ("1", "-1", false), ("1", "\"1\"", false), ("0.1", "0.10000000000000001", false), ("1e400", "10e399", true), ("1", "1e99999999999999999999", false),
        ("true", "true", true), ("true", "false", false), ("true", "1", false), ("null", "null", true), ("null", "false", false),
        (#""a""#, #""a""#, true), (#""a""#, #""A""#, false), (#""\u00e9""#, #""e\u0301""#, false), (#""""#, "null", false),
        ("[1,2]", "[1,2.0]", true), ("[1,2]", "[2,1]", false), ("[1]", "1", false), (#"{"a":1,"b":2}"#, #"{"b":2,"a":1e0}"#, true),
        (#"{"a":1}"#, #"{"a":1,"b":2}"#, false), (#"{"a":1,"b":2}"#, #"{"a":1,"c":2}"#, false),
    ])
    func `compares values exactly`(left: String, right: String, expected: Bool) throws {
        #expect(try holds(.equals(json(left)), "c", in: "{\"c\":\(right)}") == expected)
        #expect(try holds(.equals(json(right)), "c", in: "{\"c\":\(left)}") == expected)
        #expect(try holds(.not(.equals(json(left))), "c", in: "{\"c\":\(right)}") != expected)
    }

    @Test(arguments: 0..<200)
    func `finds a number equal however it is written`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let digits = String(Int.random(in: 1...999_999, using: &random))
        let sign = Bool.random(using: &random) ? "-" : ""
        func spelling() -> String {
            let shift = Int.random(in: -6...6, using: &random)
            var (whole, fraction) = (digits, "")
            for _ in 0..<max(shift, 0) { whole += "0" }
            for _ in 0..<max(-shift, 0) {
                fraction = (whole.popLast().map(String.init) ?? "0") + fraction
            }
            let zeros = String(repeating: "0", count: Int.random(in: 0...2, using: &random))
            return sign + (whole.isEmpty ? "0" : whole) + "." + fraction + "0" + zeros + ["e", "E"].randomElement(using: &random)! + "\(-shift)"
        }
        let (one, other) = (spelling(), spelling())
        #expect(try holds(.equals(json(one)), "c", in: "{\"c\":\(other)}"), "\(one) \(other)")
        #expect(try !holds(.equals(json(one)), "c", in: "{\"c\":\(other)1}"), "\(one) \(other)1")
    }

    @Test(arguments: [
        (#"{"r":"a"}"#, true, false), (#"{"r":"c"}"#, false, false), (#"{"r":["a"]}"#, true, false), (#"{"r":["x","b","a"]}"#, true, true),
        (#"{"r":[]}"#, false, false), (#"{"r":["x"]}"#, false, false), (#"{"r":[["a","b"]]}"#, false, false), (#"{"r":null}"#, false, false), ("{}", false, false),
        (#"{"r":"a b"}"#, false, false), (#"{"r":{"a":"b"}}"#, false, false),
    ])
    func `looks for one or all of a list`(claims: String, any: Bool, all: Bool) throws {
        let expected: [JSONValue] = [.string("a"), .string("b")]
        #expect(try holds(.anyOf(expected), "r", in: claims) == any)
        #expect(try holds(.allOf(expected), "r", in: claims) == all)
    }

    @Test(arguments: [
        (#""read write""#, true), (#""write  read other""#, true), (#"["read","write"]"#, true), (#""read""#, false), (#""reads writes""#, false),
        (#"["read write"]"#, false), (#""""#, false), ("[]", false), ("7", false), (#"{"read":1,"write":1}"#, false), (#""READ write""#, false), (#""read\twrite""#, false),
    ])
    func `finds scopes in a text or a list`(claim: String, expected: Bool) throws {
        let scopes = [try Scope("read"), try Scope("write")]
        #expect(try holds(.containsScope(scopes), "scope", in: "{\"scope\":\(claim)}") == expected)
    }

    @Test func `asks whether a claim is there`() throws {
        #expect(try holds(.exists, "a.b", in: #"{"a":{"b":false}}"#))
        for text in [#"{"a":{"b":null}}"#, #"{"a":{}}"#, #"{"a":1}"#, "{}"] {
            #expect(try !holds(.exists, "a.b", in: text))
            #expect(try holds(.not(.exists), "a.b", in: text))
            #expect(try holds(.not(.equals(.bool(true))), "a.b", in: text), "a missing claim equals nothing")
        }
        #expect(try holds(.not(.not(.exists)), "a", in: #"{"a":1}"#))
    }

    @Test func `with an empty list is refused`() throws {
        let path = try ClaimPath("r")
        for test in [ClaimCondition.Test.anyOf([]), .allOf([]), .containsScope([]), .not(.allOf([]))] {
            #expect(mistake { try ClaimCondition(path, test) } == #"the condition on the claim "r" has an empty list; at least one value is needed"#)
        }
    }

    @Test func `has a reason of its own`() throws {
        #expect(try ClaimCondition(ClaimPath("a"), .exists).reason.bytes == Array("condition-failed".utf8))
        #expect(try ConditionReason("not-an-admin").bytes == Array("not-an-admin".utf8))
        #expect(mistake { try ConditionReason(String(repeating: "a", count: 64)) } == nil)
        for reason in ["", "Not", "not_an", "a b", "é", String(repeating: "a", count: 65)] {
            #expect(mistake { try ConditionReason(reason) } == "\(reason.debugDescription) is no reason: accepted are 1 to 64 of a-z, 0-9 and -, as in not-an-admin")
        }
        #expect(mistake { try ConditionReason("allowed") } == #"the reason "allowed" has a meaning of its own; choose another"#)
    }

    @Test(arguments: ["", "a b", "a\"", #"a\"#, "é", "a\n"])
    func `on a scope that is none is refused`(name: String) {
        #expect(mistake { try Scope(name) } == #"\#(name.debugDescription) is no scope: accepted is one name of visible ASCII without blanks, " and \"#)
    }
}
