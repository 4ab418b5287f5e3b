import Bytes
import JSON
import Testing

@testable import Policy

@Suite struct `A header's name` {
    @Test(arguments: [
        "connection", "content-length", "expect", "host", "http2-settings", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "proxy-authorization",
        "content_length", "transfer.encoding", "proxy_x", "proxy-",
    ])
    func `may not be the proxy's own`(name: String) {
        #expect(mistake { try HeaderName(name) } == "no rule may touch the header \(name.debugDescription), which the proxy decides: it frames the message, manages the connection or chooses the host")
    }

    @Test(arguments: ["", "X-User", "a b", "a:", "é", "a\n", String(repeating: "a", count: 256)])
    func `is a token in lower case`(name: String) {
        #expect(mistake { try HeaderName(name) } == "\(name.debugDescription) is no header name: accepted is a token of 1 to 255 bytes in lower case, as in x-user-id")
    }

    @Test(arguments: ["x-user-id", "authorization", "cookie", "a", "x_y.z!#$%&'*+^`|~9", "hosts", "proxy", "tea"])
    func `may be any other`(name: String) { #expect(mistake { try HeaderName(name) } == nil) }
}

@Suite struct `A header operation` {
    private func evaluate(_ operation: HeaderOperation) throws -> String {
        let buffer = ByteBuffer(capacity: 16)
        let outcome = operation.evaluate(request: Request.made().view, claims: try claims(#"{"sub":"a","bad":"\n"}"#), to: buffer)
        return "\(outcome) \(text(buffer))"
    }

    @Test func `sets, or removes where there is nothing to set`() throws {
        let name = try HeaderName("x-a")
        #expect(try evaluate(HeaderOperation(name, .remove)) == "remove ")
        #expect(try evaluate(HeaderOperation(name, .set(Template(header: "u:${claim.sub}")))) == "set u:a")
        #expect(try evaluate(HeaderOperation(name, .set(Template(header: "${claim.x}")))) == "remove ")
        #expect(try evaluate(HeaderOperation(name, .set(Template(header: "${claim.bad}")))) == "unfit ")
        #expect(try HeaderOperation(name, .set(Template(header: "${client.ip}"))).dependsOnRequest)
        #expect(!HeaderOperation(name, .remove).dependsOnRequest)
    }
}

@Suite struct `A claim as a header` {
    private func evaluate(_ header: ClaimHeader, _ text: String) throws -> String {
        let buffer = ByteBuffer(capacity: 16)
        return switch header.evaluate(try claims(text), to: buffer) {
        case .set: "=" + buffer.bytes.text
        case .remove: "removed"
        case .unfit: "unfit"
        }
    }

    @Test(arguments: [
        (#"{"roles":["a","b"]}"#, "=a b"), (#"{"roles":[]}"#, "=guest"), (#"{"roles":null,"role":"c"}"#, "=c"), (#"{"role":7}"#, "=7"), (#"{"roles":"x","role":"y"}"#, "=x"), ("{}", "=guest"),
        (#"{"roles":["a b","c"]}"#, "unfit"), (#"{"roles":{}}"#, "unfit"), (#"{"roles":["a\n"]}"#, "unfit"), (#"{"roles":[]  ,"role":"c"}"#, "=c"), (#"{"roles":[" a"]}"#, "unfit"),
    ])
    func `is the first that is there, or the default`(claims: String, expected: String) throws {
        let header = try ClaimHeader(HeaderName("x-roles"), claims: [ClaimPath("roles"), ClaimPath("role")], separator: " ", default: "guest")
        #expect(try evaluate(header, claims) == expected)
    }

    @Test func `without a value is removed, or the token is unfit where it must be`() throws {
        #expect(try evaluate(ClaimHeader(HeaderName("x-a"), claims: [ClaimPath("a")]), "{}") == "removed")
        #expect(try evaluate(ClaimHeader(HeaderName("x-a"), claims: [ClaimPath("a")], isRequired: true), "{}") == "unfit")
    }

    @Test func `that can't be used is refused`() throws {
        let name = try HeaderName("x-a")
        let path = try ClaimPath("a")
        #expect(mistake { try ClaimHeader(name, claims: []) } == #"the header "x-a" has no claim"#)
        #expect(mistake { try ClaimHeader(name, claims: [path], default: "a\n") }?.hasSuffix("a blank at an end, which no header may have") == true)
        #expect(mistake { try ClaimHeader(name, claims: [path], separator: "") } != nil)
    }

    @Test func `of an API key is its subject, whatever claims name that of a token`() throws {
        let header = try #require(ClaimHeader.identity(subject: [ClaimPath("uid")]).first)
        #expect(try evaluate(header, #"{"uid":"a","sub":"b"}"#) == "=a")
        #expect(try evaluate(header, #"{"sub":"b"}"#) == "=b")
    }

    private func identity(_ text: String) throws -> String {
        try ClaimHeader.identity.map { "\($0.name)\(try evaluate($0, text))" }.joined(separator: " ")
    }

    @Test(arguments: [
        (#"{"userId":"usr_9f3k2m","email":"dev@example.com","role":"admin","iat":1}"#, "usr_9f3k2m", "=dev@example.com", "admin"),
        (#"{"userId":"a"}"#, "a", "removed", "user"), (#"{"userId":42}"#, "42", "removed", "user"), (#"{"userId":-0}"#, "0", "removed", "user"),
        (#"{"userId":123456789012345678901234567890}"#, "123456789012345678901234567890", "removed", "user"),
        (#"{"sub":"from-sub","role":""}"#, "from-sub", "removed", ""), (#"{"sub":-7}"#, "-7", "removed", "user"),
        (#"{"userId":"first","sub":"second"}"#, "first", "removed", "user"), (#"{"userId":"Zoë 🦊"}"#, "Zoë 🦊", "removed", "user"),
    ])
    func `is the identity, unless something else is chosen`(claims: String, id: String, email: String, role: String) throws {
        #expect(try identity(claims) == "x-user-id=\(id) x-user-email\(email) x-user-role=\(role)")
    }

    @Test(arguments: [
        "{}", #"{"userId":""}"#, #"{"userId":"","sub":"a"}"#, #"{"userId":null,"sub":"a"}"#, #"{"userId":true}"#, #"{"userId":1.5}"#,
        #"{"userId":1.0}"#, #"{"userId":1e3}"#, #"{"userId":["a"]}"#, #"{"userId":{"id":"a"}}"#, #"{"userId":"a\r\nx-user-role: admin"}"#,
        #"{"sub":" a"}"#, #"{"sub":"a\u0000"}"#, #"{"sub":"a\t"}"#, #"{"sub":"\u007f"}"#,
    ])
    func `is no identity without a good id`(claims: String) throws {
        #expect(try identity(claims).hasPrefix("x-user-idunfit "))
    }

    @Test(arguments: ["1", "true", "null", "[]", "{}", #""a\n""#, #"" a""#, #""a ""#])
    func `is no identity with a mistyped e-mail or role`(value: String) throws {
        #expect(try identity("{\"sub\":\"a\",\"email\":\(value)}") == "x-user-id=a x-user-emailunfit x-user-role=user")
        #expect(try identity("{\"sub\":\"a\",\"role\":\(value)}") == "x-user-id=a x-user-emailremoved x-user-roleunfit")
    }
}

@Suite struct `A denial's answer` {
    private func body(_ response: DenialResponse, _ facts: DenialFacts) -> String {
        let buffer = ByteBuffer(capacity: 16)
        #expect(response.body.render(request: Request().view, claims: JSONObject(), denial: facts, to: buffer) == .value)
        return buffer.bytes.text
    }

    private let limited = DenialFacts(
        reason: Array("limit-exceeded".utf8), message: Array("Rate limit exceeded. You are allowed 100 requests per minute.".utf8),
        resetUnixSeconds: 1_732_017_600, violatedPolicies: [Array("burst".utf8), Array("a\"b".utf8)])
    private let missing = DenialFacts(reason: Array("token-missing".utf8), message: Array("No token provided.".utf8))

    @Test func `is JSON by default`() throws {
        let response = try DenialResponse(.limited)
        #expect(response.status == 429)
        #expect(response.contentType == Array("application/json".utf8))
        #expect(
            body(response, limited)
                == #"{"error":"Too Many Requests","message":"Rate limit exceeded. You are allowed 100 requests per minute.","resetAt":"2024-11-19T12:00:00.000Z"}"#)
        #expect(try body(DenialResponse(.unauthorized), missing) == #"{"error":"Unauthorized","message":"No token provided."}"#)
        #expect(try body(DenialResponse(.forbidden, status: 404), missing) == #"{"error":"Not Found","message":"No token provided."}"#)
    }

    @Test func `is a problem on request`() throws {
        let response = try DenialResponse(.limited, body: .problem)
        #expect(response.contentType == Array("application/problem+json".utf8))
        #expect(
            body(response, limited)
                == #"{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Request cannot be satisfied as assigned quota has been exceeded","status":429,"detail":"Rate limit exceeded. You are allowed 100 requests per minute.","violated-policies":["burst","a\"b"]}"#)
        #expect(
            try body(DenialResponse(.unauthorized, body: .problem), missing)
                == #"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"No token provided."}"#)
    }

    @Test func `is what an operator wrote`() throws {
        let response = try DenialResponse(
            .unavailable, status: 500, body: .custom(contentType: "text/plain; charset=utf-8", text: "${denial.reason}\n"),
            headers: [HeaderOperation(HeaderName("x-why"), .set(Template(header: "${denial.reason}", isDenial: true)))])
        #expect(response.status == 500)
        #expect(response.contentType == Array("text/plain; charset=utf-8".utf8))
        #expect(body(response, missing) == "token-missing\n")
        #expect(response.headers.count == 1)
    }

    @Test(arguments: DenialKind.allCases)
    func `has a status of its own`(kind: DenialKind) throws {
        let status = try DenialResponse(kind).status
        #expect((400...599).contains(status))
        #expect(!StatusPhrase.text(status).hasSuffix("Error") || status == 500)
    }

    @Test(arguments: [399, 600, 200, 0, -1, 65_936])
    func `has no other status than an error's`(status: Int) {
        #expect(mistake { try DenialResponse(.forbidden, status: status) } == "the status \(status) is none of a denial: accepted are 400 to 599")
    }

    @Test(arguments: ["", "text", "/plain", "text/", "text/plain\n", "a/b/c", "te xt/plain"])
    func `has no content type that is none`(type: String) {
        #expect(mistake { try DenialResponse(.forbidden, body: .custom(contentType: type, text: "")) } == "\(type.debugDescription) is no content type, as in text/plain; charset=utf-8")
    }
}

@Suite struct `A CORS preflight` {
    private func method(_ request: Request) -> String? {
        let view = request.view
        return CORSPreflight.requestedMethod(of: view)?.text
    }

    @Test func `is an OPTIONS request with an origin and a method`() {
        let (origin, asked) = (("origin", "https://a.example"), ("access-control-request-method", "PUT"))
        #expect(method(.made("OPTIONS", headers: [origin, asked])) == "PUT")
        #expect(method(.made("options", headers: [origin, asked])) == nil)
        #expect(method(.made("GET", headers: [origin, asked])) == nil)
        #expect(method(.made("OPTIONS", headers: [origin])) == nil)
        #expect(method(.made("OPTIONS", headers: [asked])) == nil)
        #expect(method(.made("OPTIONS", headers: [origin, asked, asked])) == nil)
        #expect(method(.made("OPTIONS", headers: [origin, origin, asked])) == nil)
        #expect(method(.made("OPTIONS", headers: [origin, ("access-control-request-method", "")])) == nil)
    }
}
