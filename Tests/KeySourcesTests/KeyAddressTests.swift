import Testing

@testable import KeySources

@Suite struct `An address of keys` {
    @Test(arguments: [
        "https://idp.example/jwks", "https://idp.example:8443/a?b=c", "HTTPS://idp.example/", "http://127.0.0.1:80/jwks",
        "http://127.8.9.1/", "http://localhost:8080/jwks", "http://[::1]:8080/jwks",
    ])
    func `is https, or http to this machine`(_ text: String) throws {
        _ = try KeyAddress(text, admitting: .loopbackHTTP)
    }

    @Test(arguments: [
        "http://idp.example/jwks", "http://10.0.0.1/", "http://127.0.0.1.example/", "http://127.0.0.1@idp.example/",
        "http://localhost.example/", "http://[::2]/", "http://128.0.0.1/", "http://127.0.0.1:x/", "ftp://127.0.0.1/", "file:///etc/passwd",
        "idp.example/jwks", "/etc/keys", "", "https://", "https://a b/", "https://idp.example/\0", "https://idp.example/\r\nx", "https://ïdp.example/",
    ])
    func `is refused otherwise`(_ text: String) {
        #expect(throws: UnusableKeySource.self) { try KeyAddress(text, admitting: .loopbackHTTP) }
    }

    @Test func `may be http to anywhere where that is allowed, and to nowhere where https led to it`() throws {
        _ = try KeyAddress("http://idp.example/jwks", admitting: .anyHTTP)
        #expect(throws: UnusableKeySource.self) { try KeyAddress("http://127.0.0.1/jwks", admitting: .nothing) }
    }

    @Test(arguments: [
        ("https://alice:secret@idp.example:8443/jwks?key=hidden#f", "https://idp.example:8443/jwks"), ("https://idp.example", "https://idp.example/"),
    ])
    func `is shown without what is nobody's business`(_ text: String, _ shown: String) throws {
        #expect(try "\(KeyAddress(text, admitting: .nothing))" == shown)
    }

    @Test(arguments: ["http://alice:secret@idp.example/?key=secret", "https://alice:secret@idp.example:x/?key=secret", "nothing/?key=secret"])
    func `is refused without a secret in the message`(_ text: String) {
        #expect { try KeyAddress(text, admitting: .nothing) } throws: { !"\($0)".contains("secret") }
    }

    @Test(arguments: [
        ("https://idp.example", "https://idp.example/.well-known/openid-configuration"),
        ("https://idp.example/", "https://idp.example/.well-known/openid-configuration"),
        ("https://idp.example/realms/a", "https://idp.example/realms/a/.well-known/openid-configuration"),
    ])
    func `of an issuer's document stands below the issuer`(_ issuer: String, _ expected: String) throws {
        #expect(try KeyAddress(discoveryOf: issuer, admitting: .nothing).text == expected)
    }

    @Test(arguments: ["https://idp.example/?a", "https://idp.example/#a", "https://me@idp.example/", "http://idp.example", "idp.example"])
    func `is not made of an issuer that can't be one`(_ issuer: String) {
        #expect(throws: UnusableKeySource.self) { try KeyAddress(discoveryOf: issuer, admitting: .loopbackHTTP) }
    }
}
