import Bytes
import JSON
import Testing

@testable import Policy

@Suite struct `What is known of an identity` {
    private let rules: [Rule]
    private let buffer = ByteBuffer(capacity: 64)

    init() throws {
        rules = try PolicyRules((0..<200).map { ("rule-\($0)", RequestMatcher(path: try PathPattern("/\($0)")), Rule.Options()) }).rules
    }

    @Test func `is worked out once for each of the rules that it comes under by turns`() throws {
        let ada = KnownIdentity(try #require(Identity(claims: ["sub": "ada"])))
        let first = rules.prefix(16).map { ada.prepared(for: $0, in: buffer) }
        let second = rules.prefix(16).map { ada.prepared(for: $0, in: buffer) }
        #expect(zip(first, second).allSatisfy { $0 === $1 })
    }

    /// A token may come under every rule there is, and so may the next one of the same account.
    @Test func `is kept for so many rules at the most, however many it comes under`() throws {
        let ada = KnownIdentity(try #require(Identity(claims: ["sub": "ada"])))
        var made: [Weak] = []
        for rule in rules + rules {
            made.append(Weak(ada.prepared(for: rule, in: buffer)))
            #expect(made.count { $0.prepared != nil } <= 16)
        }
        #expect(made.last?.prepared === ada.prepared(for: rules[199], in: buffer))
    }

    /// There is one nobody for each worker, who comes under all public rules by turns.
    @Test func `is kept for all rules where it is nobody`() {
        let nobody = KnownIdentity(.anonymous)
        let first = rules.map { nobody.prepared(for: $0, in: buffer) }
        let second = rules.map { nobody.prepared(for: $0, in: buffer) }
        #expect(zip(first, second).allSatisfy { $0 === $1 })
    }

    private struct Weak {
        weak var prepared: PreparedRule?
        init(_ prepared: PreparedRule) { self.prepared = prepared }
    }
}
