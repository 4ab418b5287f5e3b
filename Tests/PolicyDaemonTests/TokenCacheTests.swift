import JSON
import Policy
import Testing

@testable import PolicyDaemon

private let rules = PolicyRules()

private func known(_ token: String, expiresAt: Double = .infinity) throws -> KnownToken {
    let principal = try #require(Principal(claims: JSONObject([("userId", .string("a"))])))
    let bytes = Array(token.utf8)
    let known = KnownToken(bytes.span, principal, expiresAt: expiresAt, rules: rules)
    return try #require(known)
}

extension TokenCache {
    fileprivate func find(_ token: String, now: Double = 0) -> KnownToken? {
        let bytes = Array(token.utf8)
        return knownToken(bytes.span, now: now)
    }
}

@Suite struct `The token cache` {
    @Test func `knows a token by all of its bytes`() throws {
        let cache = TokenCache(capacity: 64)
        let stored = try known("header.payload.signature-of-some-length")
        cache.store(stored)
        #expect(cache.find("header.payload.signature-of-some-length") === stored)
        #expect(cache.find("header.forged!.signature-of-some-length") == nil, "the same end, another payload")
        #expect(cache.find("header.payload.signature-of-some-lengtH") == nil)
        #expect(cache.find("h") == nil)
        #expect(cache.find("") == nil)
    }

    @Test func `forgets at the moment of expiry`() throws {
        let cache = TokenCache(capacity: 64)
        cache.store(try known("header.payload.signature-of-some-length", expiresAt: 100))
        #expect(cache.find("header.payload.signature-of-some-length", now: 99.999) != nil)
        #expect(cache.find("header.payload.signature-of-some-length", now: 100) == nil)
    }

    @Test func `keeps no more than it may, and the newest of all`() throws {
        let cache = TokenCache(capacity: 100)
        #expect(cache.capacity == 64)
        let names = (0..<1000).map { "header.payload.signature-of-some-length-\($0 + 1000)" }
        for name in names {
            cache.store(try known(name))
            #expect(cache.find(name) != nil)
        }
        #expect(names.count { cache.find($0) != nil } <= 64)
    }

    @Test func `replaces a token that is stored again`() throws {
        let cache = TokenCache(capacity: 8)
        let name = "header.payload.signature-of-some-length"
        for _ in 0..<20 { cache.store(try known(name)) }
        let last = try known(name)
        cache.store(last)
        #expect(cache.find(name) === last)
        for number in 0..<7 { cache.store(try known("header.payload.signature-of-some-length-\(number)")) }
        #expect(cache.find(name) === last, "it took one place only")
    }

    @Test func `does not keep what is too long`() throws {
        let cache = TokenCache(capacity: 64)
        let name = String(repeating: "t", count: TokenCache.maximumTokenBytes + 1)
        cache.store(try known(name))
        #expect(cache.find(name) == nil)
    }
}
