import JSON
import Policy
import Testing

@testable import PolicyDaemon

private func known(_ subject: String = "a") throws -> KnownIdentity {
    KnownIdentity(try #require(Identity(claims: JSONObject([("userId", .string(subject))]))))
}

extension CredentialCache {
    fileprivate func find(_ credential: String, _ kind: CredentialKind = .token, now: Double = 0) -> KnownIdentity? {
        let bytes = Array(credential.utf8)
        return identity(of: bytes.span, kind, nowUnixSeconds: now)
    }

    @discardableResult
    fileprivate func store(_ credential: String, _ kind: CredentialKind = .token, expiresAtUnixSeconds: Double = .infinity) throws -> KnownIdentity {
        let (bytes, known) = (Array(credential.utf8), try known())
        store(bytes.span, kind, known, expiresAtUnixSeconds: expiresAtUnixSeconds)
        return known
    }
}

@Suite struct `The credential cache` {
    @Test func `knows a token by all of its bytes`() throws {
        let cache = CredentialCache(capacity: 64)
        let stored = try cache.store("header.payload.signature-of-some-length")
        #expect(cache.find("header.payload.signature-of-some-length") === stored)
        #expect(cache.find("header.forged!.signature-of-some-length") == nil, "the same end, another payload")
        #expect(cache.find("header.payload.signature-of-some-lengtH") == nil)
        #expect(cache.find("h") == nil)
        #expect(cache.find("") == nil)
    }

    @Test func `takes an API key for no token, and the other way round`() throws {
        let cache = CredentialCache(capacity: 64)
        let text = "the same bytes in both places"
        let token = try cache.store(text)
        #expect(cache.find(text, .apiKey) == nil)
        let key = try cache.store(text, .apiKey)
        #expect(cache.find(text, .apiKey) === key)
        #expect(cache.find(text) === token)
    }

    @Test func `forgets at the moment of expiry`() throws {
        let cache = CredentialCache(capacity: 64)
        try cache.store("header.payload.signature-of-some-length", expiresAtUnixSeconds: 100)
        #expect(cache.find("header.payload.signature-of-some-length", now: 99.999) != nil)
        #expect(cache.find("header.payload.signature-of-some-length", now: 100) == nil)
    }

    @Test func `keeps no more than it may, and the newest of all`() throws {
        let cache = CredentialCache(capacity: 100)
        #expect(cache.capacity == 64)
        let names = (0..<1000).map { "header.payload.signature-of-some-length-\($0 + 1000)" }
        for name in names {
            try cache.store(name)
            #expect(cache.find(name) != nil)
        }
        #expect(names.count { cache.find($0) != nil } <= 64)
    }

    @Test func `replaces a token that is stored again`() throws {
        let cache = CredentialCache(capacity: 8)
        let name = "header.payload.signature-of-some-length"
        for _ in 0..<20 { try cache.store(name) }
        let last = try cache.store(name)
        #expect(cache.find(name) === last)
        for number in 0..<7 { try cache.store("header.payload.signature-of-some-length-\(number)") }
        #expect(cache.find(name) === last, "it took one place only")
    }

    @Test func `does not keep what is too long`() throws {
        let cache = CredentialCache(capacity: 64)
        let name = String(repeating: "t", count: CredentialCache.maximumCredentialBytes + 1)
        try cache.store(name)
        #expect(cache.find(name) == nil)
    }
}
