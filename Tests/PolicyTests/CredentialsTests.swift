import JSON
import Testing

@testable import Policy

private func found(_ rules: CredentialRules, _ request: Request) -> String {
    switch rules.find(request.view) {
    case .none: "none"
    case .repeated: "repeated"
    case .one(let credential): "\(credential.kind) \(String(decoding: request.bytes[credential.range], as: UTF8.self))"
    }
}

@Suite struct `Bearer credentials` {
    private func token(_ value: String) -> String { found(CredentialRules(), Request(headers: [("Authorization", value)])) }

    @Test(arguments: [
        ("Bearer abc", "abc"), ("bearer abc", "abc"), ("BEARER abc", "abc"), ("bEaReR abc", "abc"), ("Bearer    abc", "abc"),
        ("  Bearer abc \t", "abc"), ("Bearer a b", "a b"), ("Bearer =", "="), ("Bearer \tx", "\tx"),
    ])
    func `are what stands behind the scheme, in any case`(value: String, expected: String) {
        #expect(token(value) == "token \(expected)")
    }

    @Test(arguments: [
        "", " ", "Bearer", "Bearer ", "Bearer   ", "Basic dXNlcjpwYXNz", "Bearerabc", "Bearer\tabc", "Bearers abc", "abc",
        "Token abc", "Beare abc", "Digest Bearer abc", "\u{2}earer abc",
    ])
    func `are none with another scheme or an empty token`(value: String) {
        #expect(token(value) == "none")
    }

    @Test func `in two fields are refused, whatever the second one is`() {
        for second in ["Bearer a", "Basic x", ""] {
            #expect(found(CredentialRules(), Request(headers: [("Authorization", "Bearer a"), ("Authorization", second)])) == "repeated")
        }
    }
}

private let everywhere = CredentialRules(
    tokens: [.header(name: "authorization", scheme: "Bearer"), .cookie(name: "session"), .query(name: "access_token")],
    apiKeys: [.header(name: "x-api-key", scheme: nil), .query(name: "api_key")])

@Suite struct `Credentials` {
    @Test(arguments: [
        ("session=abc", "token abc"), ("a=b; session=abc; c=d", "token abc"), (#"session="abc""#, "token abc"), ("session = abc", "token abc"),
        ("session=a=b", "token a=b"), ("session", "none"), ("session=", "none"), (#"session="""#, "none"), ("Session=abc", "none"),
        ("xsession=abc", "none"), ("session=a; session=a", "repeated"), ("session=; session=a", "repeated"), (";;session=a;", "token a"),
    ])
    func `may be a cookie`(value: String, expected: String) {
        #expect(found(everywhere, Request(headers: [("Cookie", value)])) == expected)
    }

    @Test(arguments: [
        ("access_token=abc", "token abc"), ("a=b&access_token=abc&c", "token abc"), ("access%5ftoken=abc", "token abc"),
        ("%61ccess_token=abc", "token abc"), ("access_token=a%2Bb", "token a%2Bb"), ("access_token=a=b", "token a=b"), ("access_token", "none"),
        ("access_token=", "none"), ("access_toke=abc", "none"), ("access_tokens=abc", "none"), ("access%5token=abc", "none"), ("", "none"),
        ("access_token=a&access_token=a", "repeated"), ("access_token=a&access%5Ftoken=b", "repeated"), ("access_token&access_token=b", "repeated"),
        ("api_key=k", "apiKey k"), ("api_key=k&access_token=k", "repeated"),
    ])
    func `may be a parameter of the query`(query: String, expected: String) {
        #expect(found(everywhere, Request(target: "/?\(query)")) == expected)
    }

    @Test func `may be an API key in a header of its own`() {
        #expect(found(everywhere, Request(headers: [("X-API-Key", " k 1 ")])) == "apiKey k 1")
        #expect(found(everywhere, Request(headers: [("X-API-Key", "")])) == "none")
        #expect(found(everywhere, Request(headers: [("X-API-Key", "k"), ("X-API-Key", "k")])) == "repeated")
    }

    @Test func `in two places are one where they are the same, and refused where they differ`() {
        func request(_ header: String, _ query: String) -> Request {
            Request(target: "/?access_token=\(query)", headers: [("Authorization", "Bearer \(header)")])
        }
        #expect(found(everywhere, request("a", "a")) == "token a")
        #expect(found(everywhere, request("a", "b")) == "repeated")
        #expect(found(everywhere, Request(headers: [("Authorization", "Bearer a"), ("X-API-Key", "a")])) == "repeated")
        #expect(found(everywhere, Request(headers: [("Cookie", "session=a"), ("Cookie", "session=a")])) == "repeated")
    }

    @Test func `are asked for by the headers that may carry them`() {
        #expect(everywhere.wantedHeaders == ["authorization", "cookie", "x-api-key"])
        #expect(everywhere.credentialHeaders.map { text($0) } == ["authorization", "x-api-key"])
    }
}

@Suite struct `No upstream sees a credential` {
    private func decide(_ request: Request, _ change: (inout Rule.Options) throws -> Void = { _ in }) throws -> Decision {
        let decision = try policy(credentials: everywhere, change).decide(request)
        #expect(decision.isAllowed)
        return decision
    }

    @Test(arguments: [
        ("/?access_token=t", ""), ("/?a=b&access_token=t", "a=b"), ("/?access_token=t&a=b", "a=b"), ("/?a=1&access%5Ftoken=t&b=%20&c", "a=1&b=%20&c"),
        ("/?a&&access_token=t&", "a&&"),
    ])
    func `in the query`(target: String, rest: String) throws {
        #expect(text(try decide(Request(target: target)).changes.query) == rest)
    }

    @Test(arguments: [("session=t", nil), ("a=b; session=t", "a=b"), ("session=t;a=b ;  c", "a=b; c"), ("session; a=b; session=t", "a=b")])
    func `in a cookie`(cookies: String, rest: String?) throws {
        let decision = try decide(Request(headers: [("Cookie", cookies)]))
        let change = try #require(decision.requestHeader("cookie"))
        #expect(change.text == rest)
        #expect(decision.changes.query == nil)
    }

    @Test func `in the query or a cookie, though it was found in a header as well`() throws {
        let headers = [(name: "Authorization", value: "Bearer t"), (name: "Cookie", value: "session=t; a=b")]
        let decision = try decide(Request(target: "/?access_token=t&a=b", headers: headers))
        #expect(text(decision.changes.query) == "a=b")
        #expect(decision.requestHeader("cookie")?.text == "a=b")
    }

    @Test func `in a header`() throws {
        let decision = try decide(bearer)
        for name in ["authorization", "x-api-key"] { #expect(try #require(decision.requestHeader(name)).value == nil) }
        #expect(decision.requestHeader("cookie") == nil)
        #expect(decision.changes.query == nil)
    }

    @Test func `but what the operator puts in its place`() throws {
        let decision = try decide(Request(headers: [("Cookie", "session=t; a=b")])) {
            $0.requestHeaders = [try sets("authorization", "Basic upstream"), HeaderOperation(try HeaderName("cookie"), .remove)]
        }
        let changes = try #require(decision.prepared).requestHeaders.filter { $0.name.elementsEqual("authorization".utf8) }
        #expect(changes.map(\.text) == ["Basic upstream"], "once, as some proxies set before they remove")
        #expect(try #require(decision.requestHeader("cookie")).value == nil)
    }

    @Test func `where nobody asks for one, it is the upstream's own`() throws {
        let decision = try decide(bearer) { $0.authentication = .none }
        #expect(decision.requestHeader("authorization") == nil)
    }
}
