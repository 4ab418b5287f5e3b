import JSON
import JSONWebToken
import Testing

@testable import KeySources

@Suite struct `A file of API keys` {
    // SHA-256 of "abc" and of the empty text (FIPS 180-4's examples).
    private static let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    private static let empty = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"

    private func read(_ text: String, maximumCount: Int = 10) throws(UnusableKeySource) -> APIKeys {
        try APIKeys(reading: Array(text.utf8), maximumCount: maximumCount)
    }

    private func find(_ key: String, in keys: APIKeys) -> APIKey? { keys.find(Array(key.utf8).span) }

    @Test func `gives each key its subject and attributes`() throws {
        let keys = try read("""
            {"keys": [
              {"sha256": "\(Self.abc)", "subject": "svc-billing", "attributes": {"plan": "gold", "roles": ["a"]}},
              {"sha256": "\(Self.empty)", "subject": "nobody"}
            ]}
            """)
        #expect(keys.count == 2)
        let key = try #require(find("abc", in: keys))
        #expect(key.subject == "svc-billing")
        #expect(key.attributes["plan"] == .string("gold"))
        #expect(key.attributes["roles"] == .array([.string("a")]))
        #expect(find("", in: keys)?.subject == "nobody")
        #expect(find("abd", in: keys) == nil)
        #expect(find(Self.abc, in: keys) == nil, "the digest itself is no key")
    }

    @Test func `may have no keys`() throws { #expect(try read(#"{"keys": []}"#).count == 0) }

    @Test(arguments: [
        ("", "line 1, column 1: the text ends where a value should be"),
        ("{\"keys\": [\n  {]}", "line 2, column 4: a member's name should be here"),
        ("[]", "no JSON object: {\"keys\": […]} is accepted"),
        ("{}", "keys is no array"),
        ("{\"keys\": [], \"more\": 1}", "the file has the member \"more\": keys are accepted"),
        ("{\"keys\": [1]}", "keys[0] is no object"),
        ("{\"keys\": [{\"sha256\": \"ABC\", \"subject\": \"a\"}]}", "keys[0].sha256 is not 64 hexadecimal digits, the SHA-256 of the key"),
        ("{\"keys\": [{\"subject\": \"a\"}]}", "keys[0].sha256 is not 64 hexadecimal digits, the SHA-256 of the key"),
        ("{\"keys\": [{\"sha256\": \"\(abc)\"}]}", "keys[0].subject is no text, or an empty one"),
        ("{\"keys\": [{\"sha256\": \"\(abc)\", \"subject\": \"\"}]}", "keys[0].subject is no text, or an empty one"),
        (
            "{\"keys\": [{\"sha256\": \"\(abc)\", \"subject\": \"a\", \"atributes\": {}}]}",
            "keys[0] has the member \"atributes\": sha256, subject, attributes are accepted"
        ),
        ("{\"keys\": [{\"sha256\": \"\(abc)\", \"subject\": \"a\", \"attributes\": []}]}", "keys[0].attributes is no object"),
        (
            "{\"keys\": [{\"sha256\": \"\(abc)\", \"subject\": \"a\", \"attributes\": {\"sub\": \"b\"}}]}",
            "keys[0].attributes.sub is there: it stands in subject"
        ),
        (
            "{\"keys\": [{\"sha256\": \"\(abc)\", \"subject\": \"a\"}, {\"sha256\": \"\(abc.uppercased())\", \"subject\": \"b\"}]}",
            "keys[1].sha256 is that of an earlier entry: each key has one"
        ),
        ("{\"keys\": [1, 2, 3]}", "keys has 3 entries, more than the 2 that are accepted"),
    ])
    func `is refused with its mistake`(_ text: String, _ message: String) {
        #expect(throws: UnusableKeySource(message)) { try read(text, maximumCount: 2) }
    }
}

@Suite struct `A SHA-256 digest` {
    @Test func `is read in either case, and from nothing but 64 digits`() {
        let digest = SHA256Digest(of: Array("abc".utf8).span)
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        #expect(SHA256Digest(hexadecimal: text) == digest)
        #expect(SHA256Digest(hexadecimal: text.uppercased()) == digest)
        #expect(SHA256Digest(hexadecimal: "0" + text.dropFirst()) != digest)
        for wrong in ["", String(text.dropLast()), text + "0", "g" + text.dropFirst(), " " + text.dropFirst(), String(repeating: "é", count: 32)] {
            #expect(SHA256Digest(hexadecimal: wrong) == nil)
        }
    }
}
