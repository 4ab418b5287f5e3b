import Testing

@testable import JSON

@Suite struct `A claim's path` {
    @Test(arguments: [
        ("sub", "1"), ("realm_access.roles", "2"), (#""realm_access.roles""#, "3"), (#""https://example.com/roles""#, "4"),
        (#""https://example.com/app".admin"#, "5"), (#"realm_access."a\"b\\c""#, "6"), (#""""#, "7"), ("Sub", nil), ("sub.x", nil),
        ("realm_access.role", nil), ("realm_access.roles.x", nil),
    ])
    func `leads to one value`(path: String, expected: String?) throws {
        let claims = try #require(JSONValue.parse(Array(
            #"{"sub":1,"realm_access":{"roles":2,"a\"b\\c":6},"realm_access.roles":3,"https://example.com/roles":4,"https://example.com/app":{"admin":5},"":7}"#.utf8).span).object)
        #expect(try ClaimPath(path).value(in: claims)?.number?.text == expected)
    }

    @Test(arguments: [
        ("", "has an empty name: accepted are names with dots between them, as in realm_access.roles"),
        ("a.", "has an empty name: accepted are names with dots between them, as in realm_access.roles"),
        (".a", "has an empty name: accepted are names with dots between them, as in realm_access.roles"),
        ("a..b", "has an empty name: accepted are names with dots between them, as in realm_access.roles"),
        ("https://example.com/roles", #"has a character that only double quotes allow: names of other than letters, digits, _ and - are written "https://example.com/roles""#),
        ("/x", #"has a character that only double quotes allow: names of other than letters, digits, _ and - are written "https://example.com/roles""#),
        (#""a"b"#, #"has a character that only double quotes allow: names of other than letters, digits, _ and - are written "https://example.com/roles""#),
        (#""a"#, "has a quote that isn't closed"), (#""a\n""#, #"has a backslash in quotes before something else than " or \"#),
    ])
    func `that is none is refused`(path: String, message: String) {
        let error = #expect(throws: InvalidClaimPath.self) { try ClaimPath(path) }
        #expect(error?.description == "the claim \(path.debugDescription) \(message)")
    }

    @Test(arguments: ["sub", "", "a.b", "https://example.com/app", #"a"b\c"#])
    func `of a name is written such that it leads there again`(name: String) throws {
        let path = ClaimPath(name: name)
        #expect(path.value(in: [name: 1])?.number?.text == "1")
        #expect(try ClaimPath(path.description) == path)
    }
}
