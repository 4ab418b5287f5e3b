import JSON
import Testing

@testable import Policy

private func principal(_ claims: String) throws -> Principal? {
    let value = try JSONValue.parse(Array(claims.utf8).span)
    return Principal(claims: try #require(value.object))
}

private func headers(_ principal: Principal?) -> [String]? {
    principal?.identityHeaders.map { String(decoding: $0.name + Array(": ".utf8) + $0.value, as: UTF8.self) }
}

private func key(_ principal: Principal?) -> String? {
    principal.map { String(decoding: $0.counterKeyPrefix, as: UTF8.self) }
}

@Suite struct `A principal` {
    @Test func `has the three claims as headers`() throws {
        let user = try principal(#"{"userId":"usr_9f3k2m","email":"dev@example.com","role":"admin","iat":1}"#)
        #expect(headers(user) == ["x-user-id: usr_9f3k2m", "x-user-email: dev@example.com", "x-user-role: admin"])
        #expect(key(user) == "ratelimit:usr_9f3k2m:")
    }

    @Test func `has the role user where none is claimed, and no e-mail where none is`() throws {
        #expect(headers(try principal(#"{"userId":"a"}"#)) == ["x-user-id: a", "x-user-role: user"])
    }

    @Test(arguments: [
        (#"{"userId":42}"#, "42"), (#"{"userId":0}"#, "0"), (#"{"userId":-0}"#, "0"), (#"{"userId":-7}"#, "-7"),
        (#"{"userId":123456789012345678901234567890}"#, "123456789012345678901234567890"),
        (#"{"sub":"from-sub"}"#, "from-sub"), (#"{"sub":7}"#, "7"), (#"{"userId":"first","sub":"second"}"#, "first"),
        (#"{"userId":"Zoë 🦊"}"#, "Zoë 🦊"), (#"{"userId":"a:1"}"#, "a:1"),
    ])
    func `is found by userId, or by sub in its place`(claims: String, id: String) throws {
        let user = try principal(claims)
        #expect(user?.userID == Array(id.utf8))
        #expect(key(user) == "ratelimit:\(id):")
    }

    @Test(arguments: [
        #"{}"#, #"{"email":"a@b"}"#, #"{"userId":""}"#, #"{"userId":"","sub":"a"}"#, #"{"userId":null,"sub":"a"}"#,
        #"{"userId":true}"#, #"{"userId":1.5}"#, #"{"userId":1.0}"#, #"{"userId":1e3}"#, #"{"userId":["a"]}"#,
        #"{"userId":{"id":"a"}}"#,
    ])
    func `does not come of a missing, empty or mistyped id`(claims: String) throws {
        #expect(try principal(claims) == nil)
    }

    @Test(arguments: [
        #""a\r\nx-user-role: admin""#, #""a\n""#, #""a\u0000b""#, #""a\tb""#, #""a\u007fb""#, #"" a""#, #""a ""#, #"" ""#,
        #""\u001b[2J""#,
    ])
    func `does not come of a claim that no header may carry`(value: String) throws {
        #expect(try principal("{\"userId\":\(value)}") == nil)
        #expect(try principal("{\"sub\":\(value)}") == nil)
        #expect(try principal("{\"userId\":\"a\",\"email\":\(value)}") == nil)
        #expect(try principal("{\"userId\":\"a\",\"role\":\(value)}") == nil)
    }

    @Test(arguments: ["1", "true", "null", "[]", "{}"])
    func `does not come of a mistyped e-mail or role`(value: String) throws {
        #expect(try principal("{\"userId\":\"a\",\"email\":\(value)}") == nil)
        #expect(try principal("{\"userId\":\"a\",\"role\":\(value)}") == nil)
    }

    @Test func `of any length is one`() throws {
        let id = String(repeating: "é", count: 20_000)
        #expect(try principal("{\"userId\":\"\(id)\"}")?.userID.count == 40_000)
    }
}

@Suite struct `Bearer credentials` {
    private func token(_ value: String) -> String? {
        let bytes = Array(value.utf8)
        guard case .bearer(let range) = Credentials.read(bytes.span) else { return nil }
        return String(decoding: bytes[range], as: UTF8.self)
    }

    @Test(arguments: [
        ("Bearer abc", "abc"), ("bearer abc", "abc"), ("BEARER abc", "abc"), ("bEaReR abc", "abc"), ("Bearer    abc", "abc"),
        ("  Bearer abc \t", "abc"), ("Bearer a b", "a b"), ("Bearer =", "="), ("Bearer \tx", "\tx"),
    ])
    func `are what stands behind the scheme, in any case`(value: String, expected: String) {
        #expect(token(value) == expected)
    }

    @Test(arguments: [
        "", " ", "Bearer", "Bearer ", "Bearer   ", "Basic dXNlcjpwYXNz", "Bearerabc", "Bearer\tabc", "Bearers abc", "abc",
        "Token abc", "Beare abc", "Digest Bearer abc", "\u{2}earer abc",
    ])
    func `are none with another scheme or an empty token`(value: String) {
        #expect(token(value) == nil)
    }
}
