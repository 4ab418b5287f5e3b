import JSON
import Testing

@testable import JSONWebToken

private func secret(_ text: String) throws -> KeySet { KeySet(try VerificationKey(secret: Array(text.utf8), id: nil)) }

private func set(_ keys: (kid: String, secret: String)...) throws -> KeySet {
    let members = keys.map { "{\"kty\":\"oct\",\"kid\":\"\($0.kid)\",\"k\":\"\(Base64URL.encode(Array($0.secret.utf8)))\"}" }
    return try KeySet(jwks: Array("{\"keys\":[\(members.joined(separator: ","))]}".utf8))
}

private func signed(_ payload: String, _ secret: String, header: String = #"{"alg":"HS256"}"#) throws -> String {
    try token(header: header, payload: payload, signedWith: try PrivateKey(secret: Array(secret.utf8)), .hs256)
}

@Suite struct `Several issuers` {
    private func verifier() throws -> TokenVerifier {
        TokenVerifier([
            TrustedIssuer(name: "a", issuer: "https://a", keys: try secret("sa")),
            TrustedIssuer(
                name: "b", issuer: "https://b", keys: try set(("k1", "sb1"), ("k2", "sb2")), requirements: TokenRequirements(audiences: ["api"])),
            TrustedIssuer(name: "c", issuer: "https://c", keys: nil),
            TrustedIssuer(name: "any", keys: try secret("sd")),
        ])
    }

    private func index(_ text: String) throws -> Int { try verifier().verify(Array(text.utf8).span, nowUnixSeconds: now).issuerIndex }

    @Test func `are told apart by iss and kid`() throws {
        #expect(try index(signed(#"{"iss":"https://a"}"#, "sa")) == 0)
        #expect(try index(signed(#"{"iss":"https://b","aud":"api"}"#, "sb2", header: #"{"alg":"HS256","kid":"k2"}"#)) == 1)
        #expect(try index(signed(#"{"iss":"https://other"}"#, "sd")) == 3)
        #expect(try index(signed("{}", "sd")) == 3)
        #expect(try index(signed(#"{"iss":5}"#, "sd")) == 3)
    }

    @Test func `cannot sign for each other`() throws {
        let verifier = try verifier()
        #expect(verifier.refusal(try signed(#"{"iss":"https://a"}"#, "sd")) == .signatureInvalid)
        #expect(verifier.refusal(try signed(#"{"iss":"https://b","aud":"api"}"#, "sa")) == .signatureInvalid)
        #expect(verifier.refusal(try signed("{}", "sa")) == .signatureInvalid)
    }

    @Test func `each have their own requirements`() throws {
        #expect(try verifier().refusal(try signed(#"{"iss":"https://b"}"#, "sb1")) == .audienceWrong)
    }

    @Test func `say whose keys are missing`() throws {
        let verifier = try verifier()
        #expect(verifier.refusal(try signed(#"{"iss":"https://c"}"#, "sa")) == .keysUnavailable(issuerIndex: 2))
        let unknown = try signed(#"{"iss":"https://b"}"#, "sb1", header: #"{"alg":"HS256","kid":"k3"}"#)
        #expect(verifier.refusal(unknown) == .keyUnknown(issuerIndices: [1]))
        let other = try signed(#"{"iss":"https://b"}"#, "sb1", header: #"{"alg":"RS256","kid":"k1"}"#)
        #expect(verifier.refusal(other) == .algorithmNotAllowed)
    }

    @Test func `leave nobody to ask about a token of none of them`() throws {
        let verifier = TokenVerifier([
            TrustedIssuer(name: "a", issuer: "https://a", keys: try secret("s")), TrustedIssuer(name: "b", issuer: "https://b", keys: try secret("s")),
        ])
        #expect(verifier.refusal(try signed(#"{"iss":"https://A"}"#, "s")) == .issuerUnknown)
        #expect(verifier.refusal(try signed("{}", "s")) == .issuerUnknown)
        #expect(verifier.refusal(try signed("no JSON", "s")) == .malformed)
    }

    @Test func `of the same name are told apart by kid, and keys that are missing might be the right ones`() throws {
        let both = [TrustedIssuer(name: "a", issuer: "i", keys: try set(("k1", "s1"))), TrustedIssuer(name: "b", issuer: "i", keys: try set(("k2", "s2")))]
        let text = try signed(#"{"iss":"i"}"#, "s2", header: #"{"alg":"HS256","kid":"k2"}"#)
        let verified = try TokenVerifier(both).verify(Array(text.utf8).span, nowUnixSeconds: now)
        #expect(verified.issuerIndex == 1)
        let verifier = TokenVerifier([both[0], TrustedIssuer(name: "b", issuer: "i", keys: nil)])
        #expect(verifier.refusal(text) == .keysUnavailable(issuerIndex: 1))
        #expect(verifier.refusal(try signed(#"{"iss":"i"}"#, "s2")) == .keysUnavailable(issuerIndex: 1))
    }
}

@Test func `nobody's token is anybody's`() throws { #expect(TokenVerifier([]).refusal(try signed("{}", "s")) == .issuerUnknown) }

@Suite struct `One issuer` {
    @Test func `has its iss checked, after the signature`() throws {
        let verifier = TokenVerifier(try secret("s"), issuer: "https://a")
        #expect(verifier.refusal(try signed(#"{"iss":"https://a"}"#, "s")) == nil)
        for payload in [#"{"iss":"https://a/"}"#, "{}", #"{"iss":["https://a"]}"#, #"{"iss":null}"#] {
            #expect(verifier.refusal(try signed(payload, "s")) == .issuerUnknown)
        }
        #expect(verifier.refusal(try signed(#"{"iss":"x"}"#, "other")) == .signatureInvalid)
    }

    @Test func `without keys says so`() throws {
        let verifier = TokenVerifier([TrustedIssuer(name: "a", keys: nil)])
        #expect(verifier.refusal(try signed("{}", "s")) == .keysUnavailable(issuerIndex: 0))
        #expect(verifier.refusal(try signed("{}", "s", header: #"{"alg":"none"}"#)) == .algorithmNotAllowed)
    }
}

@Suite struct `A requirement` {
    private func refusal(_ payload: String, _ requirements: TokenRequirements, header: String = #"{"alg":"HS256"}"#) throws -> TokenRefusal? {
        TokenVerifier(try secret("s"), requirements).refusal(try signed(payload, "s", header: header))
    }

    @Test(arguments: [
        (#"{"aud":"api"}"#, nil), (#"{"aud":["x","admin"]}"#, nil), ("{}", TokenRefusal.audienceWrong), (#"{"aud":"API"}"#, .audienceWrong),
        (#"{"aud":[]}"#, .audienceWrong), (#"{"aud":5}"#, .malformed), (#"{"aud":["api",5]}"#, .malformed), (#"{"aud":null}"#, .malformed),
    ])
    func `of an audience is met by any one`(_ payload: String, _ expected: TokenRefusal?) throws {
        #expect(try refusal(payload, TokenRequirements(audiences: ["api", "admin"])) == expected)
    }

    @Test(arguments: [
        ("1732017560", nil), ("1732017570", nil), ("1732017510", TokenRefusal.tooOld), ("1732017511", nil), ("1732017571", .notYetValid),
        (#""1732017560""#, .malformed), ("1e999", .malformed),
    ])
    func `of a maximum age is judged by iat`(_ issuedAt: String, _ expected: TokenRefusal?) throws {
        #expect(try refusal("{\"iat\":\(issuedAt)}", TokenRequirements(maximumAgeSeconds: 60)) == expected)
        #expect(try refusal("{\"iat\":\(issuedAt)}", TokenRequirements()) == nil)
    }

    @Test func `of a maximum age needs iat, ends the token, and has the leeway`() throws {
        #expect(try refusal("{}", TokenRequirements(maximumAgeSeconds: 60)) == .claimMissing)
        let requirements = TokenRequirements(leewaySeconds: 5, maximumAgeSeconds: 60)
        #expect(try refusal(#"{"iat":1732017575}"#, requirements) == nil)
        #expect(try refusal(#"{"iat":1732017576}"#, requirements) == .notYetValid)
        #expect(try refusal(#"{"iat":1732017506}"#, requirements) == nil)
        let verifier = TokenVerifier(try secret("s"), requirements)
        let text = Array(try signed(#"{"iat":1732017560,"exp":1732099999}"#, "s").utf8)
        let verified = try verifier.verify(text.span, nowUnixSeconds: now)
        #expect(verified.expiresAtUnixSeconds == 1_732_017_625)
    }

    @Test func `of exp`() throws {
        #expect(try refusal("{}", TokenRequirements(requiresExpiry: true)) == .claimMissing)
        #expect(try refusal(#"{"exp":1732017571}"#, TokenRequirements(requiresExpiry: true)) == nil)
    }

    @Test(arguments: [
        (#"{"realm_access":{"roles":[]},"sub":""}"#, nil), (#"{"realm_access.roles":1,"sub":1}"#, TokenRefusal.claimMissing), (#"{"realm_access":{"roles":1}}"#, .claimMissing),
        (#"{"realm_access":{},"sub":1}"#, .claimMissing), (#"{"realm_access":{"roles":null},"sub":1}"#, .claimMissing), (#"{"realm_access":"roles","sub":1}"#, .claimMissing),
    ])
    func `of a claim may lead into an object`(_ payload: String, _ expected: TokenRefusal?) throws {
        #expect(try refusal(payload, TokenRequirements(requiredClaims: [ClaimPath("sub"), ClaimPath("realm_access.roles")])) == expected)
    }

    @Test(arguments: [
        (#""at+jwt""#, nil), (#""AT+JWT""#, nil), (#""application/at+jwt""#, nil), (#""Application/AT+jwt""#, nil), (#""JWT""#, TokenRefusal.typeWrong),
        (#""text/at+jwt""#, .typeWrong),
    ])
    func `of a type is met in any case`(_ type: String, _ expected: TokenRefusal?) throws {
        for wanted in ["at+jwt", "application/AT+JWT"] {
            #expect(try refusal("{}", TokenRequirements(types: [wanted]), header: "{\"alg\":\"HS256\",\"typ\":\(type)}") == expected)
        }
        #expect(try refusal("{}", TokenRequirements(types: ["at+jwt"])) == .typeWrong)
    }
}
