import JSON
import Testing

@testable import JSONWebToken

private let secret = Array("0123456789abcdef0123456789abcdef".utf8)
private let other = Array("another".utf8)

/// A token of exactly these texts, signed with the right secret unless another is given.
private func token(
    header: String = #"{"alg":"HS256","typ":"JWT"}"#, payload: String, signedWith secret: [UInt8] = secret
) -> String {
    let signed = Base64URL.encode(Array(header.utf8)) + "." + Base64URL.encode(Array(payload.utf8))
    return signed + "." + Base64URL.encode(HMACContext(secret, .sha256).authenticate(Array(signed.utf8).span))
}

private func verifier(leewaySeconds: Int = 0) throws -> TokenVerifier {
    let keys = KeySet(try VerificationKey(secret: secret)).narrowed(to: [.hs256])
    return TokenVerifier(keys, TokenRequirements(leewaySeconds: leewaySeconds))
}

private func refusal(_ token: String, now: Double = now, leewaySeconds: Int = 0) throws -> TokenRefusal? {
    try verifier(leewaySeconds: leewaySeconds).refusal(token, now: now)
}

@Suite struct `A token is accepted` {
    @Test func `with the signature of the right key, and its claims are read`() throws {
        let token = token(payload: #"{"userId":"usr_9f3k2m","exp":1732017600}"#)
        let verified = try verifier().verify(Array(token.utf8).span, nowUnixSeconds: now)
        #expect(verified.claims["userId"]?.string == "usr_9f3k2m")
        #expect(verified.expiresAtUnixSeconds == 1_732_017_600)
    }

    @Test func `as often as it is shown`() throws {
        let verifier = try verifier()
        for number in 0..<3 {
            let bytes = Array(token(payload: #"{"sub":"\#(number)"}"#).utf8)
            for _ in 0..<3 {
                let verified = try verifier.verify(bytes.span, nowUnixSeconds: now)
                #expect(verified.claims["sub"]?.string == "\(number)")
            }
        }
    }

    @Test func `made by the signer`() throws {
        let claims = JSONObject([("userId", .string("é\"")), ("exp", .number(JSONNumber(1_732_017_600)))])
        let token = try TokenSigner.sign(claims, with: try PrivateKey(secret: secret))
        let verified = try verifier().verify(Array(token.utf8).span, nowUnixSeconds: now)
        #expect(verified.claims["userId"]?.string == "é\"")
    }

    @Test func `without exp, for good`() throws {
        #expect(try refusal(token(payload: #"{"userId":"a"}"#), now: 1e15) == nil)
    }

    @Test func `with a header that carries keys, which are not looked at`() throws {
        let header = #"{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"},"jku":"https://evil.example/","kid":"../../dev/null","x5u":"x"}"#
        #expect(try refusal(token(header: header, payload: "{}")) == nil)
    }
}

@Suite struct `A token is refused` {
    @Test(arguments: ["", ".", "..", "...", "a", "a.b", "a.b.c.d", "....", " "])
    func `that has not three parts with something in them`(text: String) throws {
        #expect(try refusal(text) == .malformed)
    }

    @Test func `with any one bit of it changed`() throws {
        let bytes = Array(token(payload: #"{"userId":"a","exp":1732017600}"#).utf8)
        for index in bytes.indices {
            for bit in 0..<8 {
                var changed = bytes
                changed[index] ^= 1 << UInt8(bit)
                #expect(try refusal(String(decoding: changed, as: UTF8.self)) != nil, "byte \(index), bit \(bit)")
            }
        }
    }

    @Test func `with any number of bytes cut off or added`() throws {
        let whole = token(payload: #"{"userId":"a"}"#)
        for count in 0..<whole.utf8.count { #expect(try refusal(String(whole.prefix(count))) != nil) }
        for tail in ["=", "A", ".", " ", "\n", "\0", "=="] { #expect(try refusal(whole + tail) != nil) }
    }

    @Test func `signed with another key`() throws {
        #expect(try refusal(token(payload: "{}", signedWith: other)) == .signatureInvalid)
    }

    @Test(arguments: [#"none"#, "None", "NONE", "HS384", "HS512", "RS256", "ES256", "hs256", "HS256 ", ""])
    func `with the right signature and another algorithm in its header`(algorithm: String) throws {
        let text = token(header: "{\"alg\":\"\(algorithm)\"}", payload: "{}")
        #expect(try refusal(text) == .algorithmNotAllowed)
        #expect(try refusal(String(text[..<text.lastIndex(of: ".")!]) + ".") == .algorithmNotAllowed)
    }

    @Test(arguments: [
        #"{"typ":"JWT"}"#, #"{"alg":null}"#, #"{"alg":["HS256"]}"#, #"{"alg":256}"#, #"{"alg":"HS256","alg":"none"}"#,
        #"{"alg":"none","alg":"HS256"}"#, #"{"alg":"HS256","typ":1}"#, #"{"alg":"HS256","kid":1}"#,
        #"{"alg":"HS256","kid":null}"#, #"{"alg":"HS256","x":{"y":1,"y":2}}"#, #"{"\u0061lg":"none","alg":"HS256"}"#, "[]", "\"HS256\"", "", "{", #"{"alg":"HS256"}x"#,
    ])
    func `with a header that is no object with one alg`(header: String) throws {
        #expect(try refusal(token(header: header, payload: "{}")) == .malformed)
    }

    @Test(arguments: [
        #"{"alg":"HS256","crit":["exp"]}"#, #"{"alg":"HS256","crit":[]}"#, #"{"alg":"HS256","b64":false}"#,
        #"{"alg":"HS256","b64":true}"#, #"{"alg":"HS256","crit":null}"#, #"{"alg":"HS256","crit":"exp"}"#, #"{"alg":"HS256","zip":"DEF"}"#,
    ])
    func `with a header that demands an extension`(header: String) throws {
        #expect(try refusal(token(header: header, payload: "{}")) == .extensionUnknown)
    }

    @Test(arguments: [
        "", "[]", "1", "\"a\"", "{", #"{"userId":"a","userId":"b"}"#, #"{"a":{"b":1,"b":2}}"#, "{}{}", "{} x",
        "{\"userId\":\"\u{0}\"}", #"{"exp":"1732017600"}"#, #"{"exp":null}"#, #"{"exp":true}"#, #"{"nbf":"0"}"#, #"{"nbf":[]}"#,
        #"{"exp":1e999}"#,
    ])
    func `with a payload that is no object, says things twice, or has times that are no numbers`(payload: String) throws {
        #expect(try refusal(token(payload: payload)) == .malformed)
    }

    @Test func `that is longer than a token may be`() throws {
        let padding = String(repeating: "a", count: TokenVerifier.maximumTokenBytes)
        #expect(try refusal(token(payload: "{\"a\":\"\(padding)\"}")) == .malformed)
    }

    @Test func `before its payload is read, where the signature does not hold`() throws {
        #expect(try refusal(token(payload: "no JSON", signedWith: other)) == .signatureInvalid)
    }
}

@Suite struct `Times` {
    @Test(arguments: [
        ("1732017570", TokenRefusal.expired), ("1732017571", nil), ("1732017570.5", nil), ("1732017569.999", .expired),
        ("1.8e9", nil), ("0", .expired), ("-1", .expired),
    ])
    func `end a token at exp, and not after it`(expiry: String, expected: TokenRefusal?) throws {
        #expect(try refusal(token(payload: "{\"exp\":\(expiry)}")) == expected)
    }

    @Test(arguments: [("1732017570", nil), ("1732017571", TokenRefusal.notYetValid), ("1732017570.5", .notYetValid), ("0", nil)])
    func `begin a token at nbf`(start: String, expected: TokenRefusal?) throws {
        #expect(try refusal(token(payload: "{\"nbf\":\(start)}")) == expected)
    }

    @Test func `are allowed the leeway on both sides`() throws {
        let text = token(payload: #"{"nbf":1732017580,"exp":1732017600}"#)
        #expect(try refusal(text, now: 1_732_017_570, leewaySeconds: 10) == nil)
        #expect(try refusal(text, now: 1_732_017_569, leewaySeconds: 10) == .notYetValid)
        #expect(try refusal(text, now: 1_732_017_609.9, leewaySeconds: 10) == nil)
        #expect(try refusal(text, now: 1_732_017_610, leewaySeconds: 10) == .expired)
        let verified = try verifier(leewaySeconds: 10).verify(Array(text.utf8).span, nowUnixSeconds: now)
        #expect(verified.expiresAtUnixSeconds == 1_732_017_610)
    }

    @Test func `are judged anew each time: a known header and key change nothing`() throws {
        let verifier = try verifier()
        let bytes = Array(token(payload: #"{"exp":1732017600}"#).utf8)
        _ = try verifier.verify(bytes.span, nowUnixSeconds: 1_732_017_599)
        #expect(throws: TokenRefusal.expired) { _ = try verifier.verify(bytes.span, nowUnixSeconds: 1_732_017_600) }
    }
}

@Suite struct `base64url` {
    @Test(arguments: [("", ""), ("Zg", "f"), ("Zm8", "fo"), ("Zm9v", "foo"), ("Zm9vYg", "foob"), ("_-8", "\u{FFEF}")])
    func `decodes and encodes without padding`(text: String, plain: String) throws {
        let bytes = plain == "\u{FFEF}" ? [0xff, 0xef] : Array(plain.utf8)
        #expect(decode(text) == bytes)
        #expect(Base64URL.encode(bytes) == text)
    }

    @Test(arguments: ["Z", "Zg=", "Zg==", "Zh", "Zm9", "Z g", "Zm9v\n", "Zm+v", "Zm/v", "Zm9vY", "Z\u{e9}", "Zm9vZh"])
    func `has one spelling for each value`(text: String) throws {
        #expect(decode(text) == nil)
    }

    @Test func `takes all bytes there and back`() throws {
        for count in 0...70 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ count) }
            #expect(decode(Base64URL.encode(bytes)) == bytes)
        }
    }
}

@Test func `a flood of different headers pushes the good one out, and it is read again`() throws {
    let verifier = try verifier()
    let good = Array(token(payload: "{}").utf8)
    _ = try verifier.verify(good.span, nowUnixSeconds: now)
    for number in 0..<500 {
        let forged = Array("\(Base64URL.encode(Array("{\"alg\":\"HS256\",\"n\":\(number)}".utf8))).e30.AA".utf8)
        #expect(throws: TokenRefusal.signatureInvalid) { _ = try verifier.verify(forged.span, nowUnixSeconds: now) }
    }
    _ = try verifier.verify(good.span, nowUnixSeconds: now)
}
