import JSON
import Testing

@testable import Policy

@Suite struct `An identity` {
    @Test(arguments: [
        (#"{"userId":42}"#, "42"), (#"{"userId":0}"#, "0"), (#"{"userId":-0}"#, "0"), (#"{"userId":-7}"#, "-7"),
        (#"{"userId":123456789012345678901234567890}"#, "123456789012345678901234567890"),
        (#"{"sub":"from-sub"}"#, "from-sub"), (#"{"sub":7}"#, "7"), (#"{"userId":"first","sub":"second"}"#, "first"),
        (#"{"userId":"Zoë 🦊"}"#, "Zoë 🦊"), (#"{"userId":"a:1"}"#, "a:1"),
    ])
    func `is found by userId, or by sub in its place, and counted by that`(json: String, id: String) throws {
        let claims = try claims(json)
        #expect(text(Identity(claims: claims)?.subject) == id)
        let decision = try PolicyRules.usual().decide(as: .token(claims))
        #expect(decision.standings.map { text($0.hit.key) } == ["ratelimit:\(id):"])
        #expect(decision.requestHeader("x-user-id")?.text == id)
    }

    @Test(arguments: [
        #"{}"#, #"{"email":"a@b"}"#, #"{"userId":""}"#, #"{"userId":"","sub":"a"}"#, #"{"userId":null,"sub":"a"}"#,
        #"{"userId":true}"#, #"{"userId":1.5}"#, #"{"userId":1.0}"#, #"{"userId":1e3}"#, #"{"userId":["a"]}"#,
        #"{"userId":{"id":"a"}}"#, #"{"userId":"a\r\nx-user-role: admin"}"#, #"{"sub":"a\u0000b"}"#, #"{"sub":" a"}"#, #"{"sub":"a "}"#,
    ])
    func `does not come of a missing, empty, mistyped or unfit id`(json: String) throws {
        let claims = try claims(json)
        #expect(Identity(claims: claims) == nil)
        #expect(try PolicyRules.usual().decide(as: .token(claims)).reasonString == "token-claims-unfit")
    }

    @Test(arguments: [#""a\n""#, #""a\u007f""#, #"" a""#, "1", "true", "null", "[]", "{}"])
    func `with an e-mail or role that no header may carry is refused`(value: String) throws {
        for claim in ["email", "role"] {
            let decision = try PolicyRules.usual().decide(as: .token(try claims("{\"userId\":\"a\",\"\(claim)\":\(value)}")))
            #expect(decision.reasonString == "token-claims-unfit")
            #expect(decision.denial?.status == 401)
        }
    }

    @Test func `may have a subject of any length`() throws {
        let id = String(repeating: "é", count: 20_000)
        #expect(Identity(claims: ["userId": .string(id)])?.subject?.count == 40_000)
    }

    @Test func `may be told by other claims, the first that is there`() throws {
        let claims: JSONObject = ["sub": "a", "client_id": "b"]
        #expect(text(try Identity(claims: claims, subjectClaims: [ClaimPath("azp"), ClaimPath("client_id"), ClaimPath("sub")])?.subject) == "b")
        #expect(text(try Identity(claims: ["user": ["id": "a"], "user.id": "b"], subjectClaims: [ClaimPath("user.id")])?.subject) == "a")
        #expect(Identity(claims: claims, subjectClaims: []) == nil)
    }

    @Test func `by an API key has its attributes as claims, and no other subject`() throws {
        let identity = try #require(Identity(apiKey: "k1", subject: "robot", attributes: ["sub": "root", "plan": "gold"]))
        #expect(identity.claims["sub"] == "robot")
        #expect(identity.claims["plan"] == "gold")
        #expect(identity.claims.members.count == 2)
        #expect(Identity(apiKey: "k1", subject: "a\n", attributes: [:]) == nil)
        #expect(Identity(apiKey: "k1", subject: "", attributes: [:]) == nil)
    }

    @Test func `known under other rules is prepared anew`() throws {
        let ada = KnownIdentity(try #require(Identity(claims: ["sub": "ada"])))
        #expect(try policy().decide(as: .verified(ada)).isAllowed)
        let strict = try policy { $0.conditions = [try ClaimCondition(ClaimPath("role"), .equals("admin"))] }
        #expect(strict.decide(as: .verified(ada)).reasonString == "condition-failed")
    }
}
