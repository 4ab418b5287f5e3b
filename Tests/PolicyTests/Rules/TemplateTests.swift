import Bytes
import JSON
import Testing

@testable import Policy

private let request = Request.made(
    "PUT", "API.example.com:8080", "/users/a%2Fb/x", query: "page=2",
    headers: [("x-team", "red"), ("x-many", "1"), ("x-many", "2"), ("x-empty", "")])

private let claimText =
    #"{"sub":"usr_1","n":1.50,"yes":true,"no":null,"empty":"","roles":["a","b"],"none":[],"mixed":["a",1,false],"comma":["a,b","c"],"one":["a,b"],"deep":[["a"]],"object":{"a":1,"b.c":"d"},"bad":"a\r\nx-admin: 1","blank":" a","null":[null],"é":"Zoë"}"#

/// The rendered text, or what became of it.
private func render(_ template: Template, denial: DenialFacts? = nil) throws -> String {
    let buffer = ByteBuffer(capacity: 16)
    buffer.append("before")
    let outcome = template.render(request: request.view, claims: try claims(claimText), denial: denial, to: buffer)
    guard outcome == .value else {
        #expect(text(buffer) == "before")
        return "<\(outcome)>"
    }
    return String(text(buffer).dropFirst(6))
}

@Suite struct `A template of a header` {
    @Test(arguments: [
        ("plain", "plain"), ("", ""), ("${claim.sub}", "usr_1"), ("id=${claim.sub}; n=${claim.n}", "id=usr_1; n=1.50"), ("${claim.yes}", "true"),
        ("${claim.roles}", "a,b"), ("${claim.mixed}", "a,1,false"), ("${claim.one}", "a,b"), ("${claim.object.a}", "1"),
        (#"${claim.object."b.c"}"#, "d"), (#"${claim."é"}"#, "Zoë"), ("${claim.empty}", ""),
        ("${request.method} ${request.path}?${request.query}", "PUT /users/a%2Fb/x?page=2"), ("${request.host}", "api.example.com"),
        ("${path.id}", "a%2Fb"), ("${client.ip}", "192.0.2.7"), ("${header.x-team}", "red"), ("${header.x-many}", "1, 2"), ("${header.x-empty}", ""),
        ("$${claim.sub}", "${claim.sub}"), ("$", "$"), ("a$b$$c", "a$b$$c"), ("$$${claim.sub}", "$${claim.sub}"), ("}{", "}{"), ("$${", "${"),
        ("${claim.role:-user}", "user"), ("${claim.sub:-user}", "usr_1"), ("${claim.empty:-user}", "user"), ("${claim.no:-user}", "user"), ("${claim.none:-user}", "user"),
        ("${claim.x:-}", ""), ("${claim.x:-a:-b}", "a:-b"), ("${header.x-empty:-d}", "d"), ("${claim.x:-${a}", "${a"), (#"${claim."a:-b}":-c}"#, "c"),
        ("${claim.x}", "<missing>"), ("a${claim.x}b", "<missing>"), ("${claim.no}", "<missing>"), ("${claim.none}", "<missing>"), ("${header.x}", "<missing>"),
        ("${claim.bad}", "<unfit>"), ("${claim.blank}", "<unfit>"), ("x${claim.blank}", "x a"), ("${claim.object}", "<unfit>"), ("${claim.deep}", "<unfit>"),
        ("${claim.comma}", "<unfit>"), ("${claim.null}", "<unfit>"), ("${claim.bad:-x}", "<unfit>"), ("${claim.comma:-x}", "<unfit>"),
    ])
    func `is rendered`(template: String, expected: String) throws {
        #expect(try render(Template(header: template, path: PathPattern("/users/{id}/**"))) == expected)
    }

    @Test func `joins lists as it was told`() throws {
        #expect(try render(Template(header: "${claim.roles}", separator: " ")) == "a b")
        #expect(try render(Template(header: "${claim.comma}", separator: "; ")) == "a,b; c")
        for separator in ["", "\n", "123456789"] {
            #expect(mistake { try Template(header: "x", separator: separator) }?.contains("is none: accepted are 1 to 8 bytes without control characters") == true)
        }
    }

    @Test func `without a query or an address has none`() throws {
        let bare = Request.made("OPTIONS", "", "*", clientAddress: "")
        for variable in ["request.query", "request.host", "client.ip", "path.id"] {
            let template = try Template(header: "${\(variable)}", path: PathPattern("/{id}"))
            #expect(template.render(request: bare.view, claims: JSONObject(), to: ByteBuffer(capacity: 16)) == .missing, "\(variable)")
        }
    }

    @Test(arguments: [
        ("${claim.sub", #"has a variable "${claim.sub" without a closing brace; write $${ for the characters themselves"#),
        ("${claim.sub:-x", #"has a variable "${claim.sub" without a closing brace; write $${ for the characters themselves"#),
        (#"${claim."a}"#, ##"has a variable "${claim.\"a}" without a closing brace; write $${ for the characters themselves"##),
        ("${sub}", #"has an unknown variable "sub"; accepted are claim.NAME, request.method, request.host, request.path, request.query, path.NAME, client.ip, header.NAME, certificate.NAME"#),
        ("${}", #"has an unknown variable ""; accepted are claim.NAME, request.method, request.host, request.path, request.query, path.NAME, client.ip, header.NAME, certificate.NAME"#),
        ("${claim.}", #"has an unknown variable "claim."; accepted are claim.NAME, request.method, request.host, request.path, request.query, path.NAME, client.ip, header.NAME, certificate.NAME"#),
        ("${denial.reason}", #"has an unknown variable "denial.reason"; accepted are claim.NAME, request.method, request.host, request.path, request.query, path.NAME, client.ip, header.NAME, certificate.NAME"#),
        ("${path.user}", #"has "path.user", but the rule's path has only {id}, {x}"#),
        ("${header.X-Team}", #""X-Team" is no header name: accepted is a token of 1 to 255 bytes in lower case, as in x-user-id"#),
        ("${claim.a..b}", #"the claim "a..b" has an empty name: accepted are names with dots between them, as in realm_access.roles"#),
        ("${claim.a:-\n}", "has a control character in a default"), ("a\nb", "has a control character, or a blank at an end, which no header may have"),
        (" a", "has a control character, or a blank at an end, which no header may have"), ("${claim.a} ", "has a control character, or a blank at an end, which no header may have"),
    ])
    func `that can't be used is refused`(template: String, message: String) throws {
        let pattern = try PathPattern("/users/{id}/{x}")
        #expect(mistake { try Template(header: template, path: pattern) } == "the template \(template.debugDescription) \(message)")
    }

    @Test func `refuses captures where there are none, and a text too long`() throws {
        let pattern = try PathPattern("/**")
        #expect(mistake { try Template(header: "${path.id}", path: pattern) }?.hasSuffix(#"has "path.id", but the rule's path has no {…} segment"#) == true)
        #expect(mistake { try Template(header: "${path.id}") }?.hasSuffix(#"has "path.id", but the rule's path has no {…} segment"#) == true)
        #expect(mistake { try Template(header: String(repeating: "a", count: 16_385)) } == "a template has 16385 bytes, more than 16384")
    }

    @Test(arguments: [
        ("plain", false, false, []), ("${claim.a}", false, true, []), ("${claim.a}${client.ip}", true, true, []), ("${request.method}", true, false, []),
        ("${path.id}", true, false, []), ("${request.host}${request.query}${request.path}", true, false, []), ("${header.a}${header.b:-x}", true, false, ["a", "b"]),
    ])
    func `says what it depends on`(template: String, request: Bool, claims: Bool, headers: [String]) throws {
        let template = try Template(header: template, path: PathPattern("/{id}"))
        #expect(template.dependsOnRequest == request)
        #expect(template.dependsOnClaims == claims)
        #expect(template.headerNames == headers.map { Array($0.utf8) })
    }

    @Test(arguments: 0..<100)
    func `is never more than one header, whatever the claim`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let template = try Template(header: "${claim.a}${claim.b:-x}")
        for _ in 0..<50 {
            func made() -> JSONValue {
                let units = (0..<Int.random(in: 0...4, using: &random)).map { _ in UInt8.random(in: 0...0x80, using: &random) }
                return .string(String(decoding: units, as: UTF8.self))
            }
            let claims = JSONObject([("a", .array([made(), made()])), ("b", made())])
            let buffer = ByteBuffer(capacity: 16)
            let outcome = template.render(request: Request().view, claims: claims, to: buffer)
            let isFit = HeaderValue.isFit(buffer.bytes)
            #expect(outcome == .value ? isFit : buffer.isEmpty)
        }
    }
}

@Suite struct `A template of a body` {
    private let facts = DenialFacts(
        reason: Array("limit-exceeded".utf8), message: Array(#"Say "please" <now>."#.utf8), retryAfterSeconds: 7, resetUnixSeconds: 1_732_017_600)

    @Test func `writes values as JSON strings where it is JSON`() throws {
        for type in ["application/json", "Application/Problem+JSON; charset=utf-8"] {
            let template = try Template(
                body: #"{"m":"${denial.message}","c":"${claim.bad}","r":"${denial.reason}","at":"${denial.reset_at}","in":"${denial.retry_after}","d":"${claim.x:-"q"\}","x":"${claim.x}"}"#,
                contentType: type)
            let body = try render(template, denial: facts)
            #expect(
                body
                    == #"{"m":"Say \"please\" <now>.","c":"a\r\nx-admin: 1","r":"limit-exceeded","at":"2024-11-19T12:00:00.000Z","in":"7","d":"\"q\"\\","x":""}"#)
            #expect(throws: Never.self) { try JSONValue.parse(Array(body.utf8).span) }
        }
    }

    @Test func `writes values as text in markup`() throws {
        let template = try Template(body: "<p>${denial.message} & '${header.x-team}'</p>\n", contentType: "text/html; charset=utf-8")
        #expect(try render(template, denial: facts) == "<p>Say &quot;please&quot; &lt;now&gt;. & 'red'</p>\n")
        let attribute = try Template(body: #"<a title="${claim.x:-'&'}"/>"#, contentType: "image/svg+xml")
        #expect(try render(attribute) == #"<a title="&#39;&amp;&#39;"/>"#)
    }

    @Test func `writes values as they are in plain text, and nothing for a missing one`() throws {
        let template = try Template(body: "${denial.message}\n${claim.x}${claim.object}${denial.retry_after}.\n", contentType: "text/plain")
        #expect(try render(template, denial: facts) == "Say \"please\" <now>.\n7.\n")
        #expect(try render(template) == "\n.\n")
    }

    @Test(arguments: [#"{"a":${claim.n}}"#, #"{"a":"b""#, "no", #"${claim.a}"#, #"{"a":"\${claim.a}"}"#])
    func `that is no JSON is refused where it should be`(body: String) {
        #expect(mistake { try Template(body: body, contentType: "application/json") }?.hasPrefix("the body is no JSON, in which variables may stand within quotes only: ") == true)
        #expect(mistake { try Template(body: body, contentType: "text/plain") } == nil)
    }

    @Test func `names the variables that it knows`() {
        #expect(mistake { try Template(body: "${denial.x}", contentType: "text/plain") }?.hasSuffix("header.NAME, certificate.NAME, denial.reason, denial.message, denial.retry_after, denial.reset_at") == true)
    }
}
