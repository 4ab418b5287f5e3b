import JSON
import Testing

@testable import JSONWebToken

private func complaint(_ text: String) -> String? { complaint(Array(text.utf8)) }

private func complaint(_ bytes: [UInt8]) -> String? {
    do throws(UnusableKey) {
        _ = try KeySet(bytes)
        return nil
    } catch {
        return error.description
    }
}

/// The JWK of a file, with some members replaced, or removed by nil.
private func jwk(_ name: String, _ changes: [String: String?] = [:]) throws -> String {
    let object = try #require(try json(String(decoding: try fixture(name), as: UTF8.self)))
    var members = object.members.filter { changes[$0.name] == nil }.map { "\"\($0.name)\":\(String(decoding: $0.value.serialized, as: UTF8.self))" }
    for (name, value) in changes { if let value { members.append("\"\(name)\":\(value)") } }
    return "{" + members.joined(separator: ",") + "}"
}

@Suite struct `A key is read` {
    private static let pem: [(String, Set<SignatureAlgorithm>)] = [
        ("rsa.pem", SignatureAlgorithm.rsa), ("rsa-pkcs1.pem", SignatureAlgorithm.rsa), ("rsa-pkcs8.pem", SignatureAlgorithm.rsa),
        ("rsa-pkcs1-private.pem", SignatureAlgorithm.rsa), ("rsa-certificate.pem", SignatureAlgorithm.rsa), ("p256.pem", [.es256]),
        ("p256-sec1.pem", [.es256]), ("ed25519.pem", [.eddsa]), ("ed25519-private.pem", [.eddsa]), ("pss-sha384.pem", [.ps384]),
    ]

    @Test(arguments: pem)
    func `from PEM, with the algorithms of its type`(_ name: String, _ algorithms: Set<SignatureAlgorithm>) throws {
        let set = try KeySet(try fixture(name))
        #expect(set.keys.map(\.algorithms) == [algorithms])
        #expect(!set.isJWKSet)
    }

    @Test(arguments: ["rsa.pem", "rsa-pkcs1.pem", "rsa-pkcs8.pem", "rsa-pkcs1-private.pem", "rsa-certificate.pem"])
    func `the same one from each kind of PEM`(_ name: String) throws {
        let signed = try token(header: #"{"alg":"PS512"}"#, signedWith: try PrivateKey(try fixture("rsa-pkcs8.pem")), .ps512)
        #expect(TokenVerifier(try KeySet(try fixture(name))).refusal(signed) == nil)
    }

    @Test func `of the type RSA-PSS, for the one hash that it is bound to`() throws {
        let text = try fixture("pss-sha384.pem")
        let verifier = TokenVerifier(try KeySet(text))
        #expect(verifier.refusal(try token(header: #"{"alg":"PS384"}"#, signedWith: try PrivateKey(text), .ps384)) == nil)
        #expect(verifier.refusal(try token(header: #"{"alg":"PS256"}"#, signedWith: try PrivateKey(text), .ps384)) == .algorithmNotAllowed)
    }

    @Test func `as JWK, and its alg, kid and operations count`() throws {
        let key = try KeySet(jwk: Array(try jwk("rsa.jwk", ["alg": #""PS256""#, "kid": #""k""#, "use": #""sig""#]).utf8)).keys[0]
        #expect(key.id == "k")
        #expect(key.algorithms == [.ps256])
        #expect(complaint(try jwk("p256.jwk", ["key_ops": #"["verify"]"#])) == nil)
        #expect(complaint(try jwk("p256.jwk", ["key_ops": #"["sign"]"#])) == nil)
    }

    @Test func `as a certificate in front of its chain`() throws {
        let certificate = try fixture("rsa-certificate.pem")
        #expect(complaint(certificate + certificate) == nil)
    }

    @Test func `and its owner is told where it is a short secret`() throws {
        #expect(try VerificationKey(secret: [UInt8](repeating: 1, count: 64)).warning == nil)
        #expect(
            try VerificationKey(secret: [UInt8](repeating: 1, count: 40)).warning
                == "an HMAC key of 40 bytes is shorter than the hash of HS384, HS512 (RFC 7518 §3.2)")
        #expect(KeySet(try VerificationKey(secret: [UInt8](repeating: 1, count: 32))).narrowed(to: [.hs256]).keys[0].warning == nil)
    }
}

@Suite struct `A key is refused` {
    @Test(arguments: [
        ("", "nothing; accepted: a JWK, a JWK Set, or PEM"), ("  \n", "nothing;"), ("hello", "neither JSON nor PEM"), ("[]", "neither JSON"),
        ("{", "JSON that cannot be read"), (#"{"kty":"oct","k":"AAAA","k":"AAAA"}"#, #"the member "k" appears twice"#),
        (#"{"k":"AAAA"}"#, "a key without kty; accepted: oct, RSA, EC or OKP"), (#"{"kty":"oct"}"#, "a key without k"),
        (#"{"kty":"oct","k":""}"#, "an empty secret"), (#"{"kty":"oct","k":"AA=="}"#, "k is not base64url"),
        (#"{"kty":"oct","k":"AB"}"#, "k is not base64url"), (#"{"kty":"oct","k":1}"#, "k is no string"), (#"{"kty":"DSA"}"#, #"of the type "DSA""#),
        (#"{"kty":"oct","k":"AAAA","alg":"RS256"}"#, "accepted: for its type: HS256, HS384, HS512"),
        (#"{"kty":"oct","k":"AAAA","kid":7}"#, "kid is no string"), (#"{"kty":"oct","keys":[]}"#, "both kty and keys"),
        (#"{"kty":"OKP","crv":"X25519","x":"AA"}"#, #"the curve "X25519"; accepted: Ed25519, Ed448"#),
        (#"{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#, "x has 3 bytes; accepted: 32"), (#"{"kty":"EC","x":"AA","y":"AA"}"#, "without crv"),
        (#"{"keys":[]}"#, "a JWK Set without a usable key"), (#"{"keys":{}}"#, "keys is no list"),
        (#"{"keys":[{"kty":"oct","k":""}]}"#, "key 1: an empty secret"),
    ])
    func `that is no JWK as it should be`(_ text: String, _ message: String) {
        #expect(complaint(text)?.contains(message) == true, "\(complaint(text) ?? "accepted")")
    }

    @Test func `of RSA that is too short, or whose exponent is none`() throws {
        #expect(complaint(try fixture("rsa-1024.pem")) == "an RSA key of 1024 bits; accepted: 2048 to 16384")
        for exponent in ["AQ", "Ag", "AQAA", "AQABAAAAAAAAAAAB"] {
            #expect(complaint(try jwk("rsa.jwk", ["e": "\"\(exponent)\""]))?.contains("exponent is even, 1 or too long") == true)
        }
        #expect(complaint(try jwk("rsa.jwk", ["e": #""AAEAAQ""#]))?.contains("begins with a zero byte") == true)
        #expect(complaint(try jwk("rsa.jwk", ["n": nil])) == "a key without n")
    }

    @Test func `of EC whose point is elsewhere`() throws {
        let object = try #require(try json(String(decoding: try fixture("p256.jwk"), as: UTF8.self)))
        let x = try #require(object["x"]?.string)
        #expect(complaint(try jwk("p256.jwk", ["y": "\"\(x)\""]))?.contains("a point on the curve") == true)
        let origin = "\"\(Base64URL.encode([UInt8](repeating: 0, count: 32)))\""
        #expect(complaint(try jwk("p256.jwk", ["x": origin, "y": origin]))?.contains("a point on the curve") == true)
        #expect(complaint(try jwk("p256.jwk", ["crv": #""P-384""#])) == "a key whose x has 32 bytes; accepted: 48")
        #expect(complaint(try jwk("p256.jwk", ["crv": #""secp256k1""#]))?.contains("accepted: P-256, P-384, P-521") == true)
        #expect(complaint(try jwk("p256.jwk", ["alg": #""ES384""#]))?.contains("accepted: for its type: ES256") == true)
    }

    @Test(arguments: [
        ("use", #""enc""#), ("use", "1"), ("key_ops", "[]"), ("key_ops", #""verify""#), ("key_ops", #"["encrypt"]"#), ("key_ops", "[1]"),
        ("key_ops", #"["verify","verify"]"#),
    ])
    func `that is for something else`(_ name: String, _ value: String) throws {
        #expect(complaint(try jwk("p256.jwk", [name: value])) != nil)
    }

    @Test func `that is public and only to sign with`() throws {
        #expect(complaint(try jwk("p256.jwk", ["d": nil, "key_ops": #"["sign"]"#])) != nil)
    }

    @Test(arguments: [
        ("rsa-encrypted.pem", "an encrypted key"), ("x25519.pem", "type X25519"), ("secp256k1.pem", "curve secp256k1"),
        ("p256-explicit.pem", "explicit curve parameters"),
    ])
    func `as PEM of another kind`(_ name: String, _ message: String) throws {
        let complaint = complaint(try fixture(name))
        #expect(complaint?.contains(message) == true, "\(complaint ?? "accepted")")
    }

    @Test func `as PEM that is cut, or has two`() throws {
        let text = try fixture("p256.pem")
        #expect(complaint(Array(text.dropLast(40)))?.contains("neither JSON nor PEM") == true)
        #expect(complaint(text + text)?.contains("PEM with a PUBLIC KEY and a PUBLIC KEY") == true)
        #expect(complaint(try fixture("rsa-certificate.pem") + fixture("rsa-pkcs8.pem"))?.contains("a CERTIFICATE and a PRIVATE KEY") == true)
    }
}

@Suite struct `A JWK Set` {
    private func set(_ keys: String...) throws -> KeySet { try KeySet(jwks: Array("{\"keys\":[\(keys.joined(separator: ","))]}".utf8)) }

    private func signed(_ name: String, kid: String?) throws -> String {
        let header = kid.map { "{\"alg\":\"ES256\",\"kid\":\"\($0)\"}" } ?? #"{"alg":"ES256"}"#
        return try token(header: header, signedWith: try PrivateKey(try fixture(name)), .es256)
    }

    @Test func `passes over what is not understood or for something else`() throws {
        let keys = try set(
            #"{"kty":"new"}"#, "5", try jwk("rsa.jwk", ["use": #""enc""#]), try jwk("p384.jwk", ["alg": #""ECDH-ES""#]), try jwk("p256.jwk"))
        #expect(keys.isJWKSet)
        #expect(keys.keys.map(\.algorithms) == [[.es256]])
    }

    @Test func `must have the key that a token names`() throws {
        let verifier = TokenVerifier(try set(try jwk("p256.jwk", ["kid": #""a""#]), try jwk("other-p256.jwk", ["kid": #""b""#])))
        #expect(verifier.refusal(try signed("p256.jwk", kid: "a")) == nil)
        #expect(verifier.refusal(try signed("p256.jwk", kid: "b")) == .signatureInvalid)
        #expect(verifier.refusal(try signed("p256.jwk", kid: "c")) == .keyUnknown(issuerIndices: [0]))
        #expect(verifier.refusal(try signed("p256.jwk", kid: "")) == .keyUnknown(issuerIndices: [0]))
        #expect(verifier.refusal(try signed("other-p256.jwk", kid: nil)) == nil)
    }

    @Test func `without names does not have it either`() throws {
        #expect(TokenVerifier(try set(try jwk("p256.jwk"))).refusal(try signed("p256.jwk", kid: "a")) == .keyUnknown(issuerIndices: [0]))
    }

    @Test func `may have a name twice: each key is tried that fits`() throws {
        let name: [String: String?] = ["kid": #""a""#]
        let verifier = TokenVerifier(try set(try jwk("rsa.jwk", name), try jwk("other-p256.jwk", name), try jwk("p256.jwk", name)))
        #expect(verifier.refusal(try signed("p256.jwk", kid: "a")) == nil)
    }

    @Test func `has no more than a few keys tried for one token`() throws {
        let other = try jwk("other-p256.jwk")
        let own = try jwk("p256.jwk")
        #expect(TokenVerifier(try set(other, other, other, own)).refusal(try signed("p256.jwk", kid: nil)) == nil)
        #expect(TokenVerifier(try set(other, other, other, other, own)).refusal(try signed("p256.jwk", kid: nil)) == .signatureInvalid)
    }

    @Test func `is not a single key: that has its name asked for only if it has one`() throws {
        let named = TokenVerifier(try KeySet(Array(try jwk("p256.jwk", ["kid": #""a""#]).utf8)))
        #expect(named.refusal(try signed("p256.jwk", kid: "a")) == nil)
        #expect(named.refusal(try signed("p256.jwk", kid: nil)) == nil)
        #expect(named.refusal(try signed("p256.jwk", kid: "b")) == .keyUnknown(issuerIndices: [0]))
        #expect(TokenVerifier(try KeySet(try fixture("p256.jwk"))).refusal(try signed("p256.jwk", kid: "b")) == nil)
        #expect(TokenVerifier(try KeySet(try fixture("p256.pem"))).refusal(try signed("p256.jwk", kid: "b")) == nil)
    }
}
