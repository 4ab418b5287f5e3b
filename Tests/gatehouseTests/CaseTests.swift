import Foundation
import JSON
import JSONWebToken
import PolicyDaemon
import Settings
import Testing

@testable import gatehouse

/// 2026-01-02T03:04:05Z
private let now: Int64 = 1_767_323_045_000
private let secret = "a secret of thirty-two bytes or so"

private func judge(
    _ cases: String, by configuration: String = "", environment: [String: String] = ["JWT_SECRET": secret]
) throws -> [JudgedCase] {
    let rehearsal = try Rehearsal(.read(text: configuration, environment: environment))
    return try CaseFile.judge(cases, file: "cases.yaml", by: rehearsal, nowUnixMilliseconds: now)
}

private func expectPassed(_ cases: [JudgedCase]) {
    for judged in cases { #expect(judged.hasPassed, "\(judged.report)") }
}

/// A file that is there as long as `body` runs.
private func withFile<Value>(_ text: String, _ body: (String) throws -> Value) throws -> Value {
    let path = FileManager.default.temporaryDirectory.appending(path: "gatehouse-\(UUID().uuidString)").path
    try text.write(toFile: path, atomically: true, encoding: .utf8)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
}

@Suite struct `gatehouse test` {
    @Test func `the example passes with the example`() throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../deploy")
        let rehearsal = try Rehearsal(policyFile: folder.appending(path: "policyd.yaml").path, environment: ["JWT_SECRET": "x"])
        let text = try ConfigurationFile.text(folder.appending(path: "cases.yaml").path)
        let cases = try CaseFile.judge(text, file: "cases.yaml", by: rehearsal, nowUnixMilliseconds: now)
        expectPassed(cases)
        #expect(TestCommand.report(cases, isVerbose: false) == "10 cases: 10 passed, 0 failed")
    }

    @Test func `a failure says what was expected, what was found, and how it came to that`() throws {
        let cases = try judge("""
            defaults: {claims: {sub: u1}}
            cases:
              good: {expect: allow allowed}
              everything is wrong:
                request: GET /a?b=c
                expect:
                  verdict: deny
                  status: 403
                  reason: token-missing
                  rule: api
                  subject: u2
                  query: c=d
                  request_headers: {X-User-Id: u2, x-user-role: null, x-user-email: e}
                  removed_headers: [x-user-id, cookie, Authorization]
                  response_headers: {x-ratelimit-remaining: 98}
                  body_contains: [Forbidden]
            """)
        #expect(TestCommand.report(cases, isVerbose: false) == """
            FAIL everything is wrong (cases.yaml:4)
              - verdict: deny
              + verdict: allow
              - status: 403
              + status: none
              - reason: token-missing
              + reason: allowed
              - rule: api
              + rule: default
              - subject: u2
              + subject: u1
              - query: c=d
              + query: as it was
              - request header x-user-id: u2
              + request header x-user-id: u1
              - request header x-user-role: not set
              + request header x-user-role: user
              - request header x-user-email: e
              + request header x-user-email: not set
              - request header x-user-id: removed
              + request header x-user-id: u1
              - request header cookie: removed
              + request header cookie: left as it is
              - response header x-ratelimit-remaining: 98
              + response header x-ratelimit-remaining: 99
              - body: … Forbidden …
              + body: none
                rule default
                authenticated as "u1"
                limit default, counted by ratelimit:u1:: 99 of 100 left
                allowed: allowed
            2 cases: 1 passed, 1 failed
            """)
        #expect(TestCommand.report(Array(cases.prefix(1)), isVerbose: true) == "ok   good\n1 case: 1 passed, 0 failed")
    }

    @Test(arguments: [
        ("", "cases.yaml:1: cases are missing; accepted is a map of names to cases"),
        ("cases: {}", "cases.yaml:1: cases are missing; accepted is a map of names to cases"),
        ("cases: [a]", "cases.yaml:1: cases is a list; accepted is a map of names to cases"),
        ("cases: {a: allow}", "cases.yaml:1: \"a\" is \"allow\"; accepted is a map of a request, whose it is, and what is expected"),
        ("cases: {a: {}}", "cases.yaml:1: \"a\" has no expect; accepted is allow, deny or a status, and perhaps the reason, as in 401 token-missing; or a map of details"),
        ("cases:\n  a:\n    expect: alow", "cases.yaml:3: \"a\".expect is \"alow\"; accepted is allow, deny or a status, and perhaps the reason, as in 401 token-missing; or a map of details"),
        ("cases:\n  a:\n    expect: {verdict: no}", "cases.yaml:3: \"a\".expect.verdict is \"no\"; accepted is allow | deny, or null"),
        ("cases:\n  a:\n    expect: {status: 99}", "cases.yaml:3: \"a\".expect.status is \"99\"; accepted is a whole number from 100 to 599, or null"),
        ("cases:\n  a:\n    expect: allow\n    expext: deny", "cases.yaml:4: unknown key \"expext\" in \"a\"; accepted is one of request, host, client, headers, issuer, token, api_key, claims, certificate, used, time, revoked, expect"),
        ("cases: {a: {expect: {request_headers: {x: [y]}}}}", "cases.yaml:1: \"a\".expect.request_headers has no text for \"x\"; accepted is a text, or null where it must not be set"),
        ("cases: {a: {request: GET, expect: allow}}", "cases.yaml:1: \"a\".request is \"GET\": not two words; accepted is a method and a target, as in GET /api/projects"),
        ("cases: {a: {request: GET api, expect: allow}}", "cases.yaml:1: \"a\".request is \"GET api\": the path \"api\"; accepted: visible ASCII that begins with /, or *; accepted is a method and a target, as in GET /api/projects"),
        ("cases: {a: {request: GET /../b, expect: allow}}", "cases.yaml:1: \"a\".request is \"GET /../b\": the proxy answers 400: There is a dot segment in the path.; accepted is a method and a target, as in GET /api/projects"),
        ("cases: {a: {client: home, expect: allow}}", "cases.yaml:1: \"a\".client is \"home\"; accepted is an IP address"),
        ("cases: {a: {time: yesterday, expect: allow}}", "cases.yaml:1: \"a\".time is \"yesterday\"; accepted is Unix seconds, or a time as in 2026-01-02T03:04:05Z"),
        ("cases: {a: {token: t, claims: {sub: u}, expect: allow}}", "cases.yaml:1: \"a\" has several credentials; accepted is one of token, api_key and claims; a second one in headers"),
        ("cases: {a: {certificate: alice, expect: allow}}", #"cases.yaml:1: "a".certificate is no map; accepted is what it says, as in {subject: CN=worker}"#),
        ("cases: {a: {certificate: {uri: 7}, expect: allow}}", #"cases.yaml:1: "a".certificate can't be used: the certificate's uri is no text or list of them"#),
        ("cases: {a: {claims: alice, expect: allow}}", "cases.yaml:1: \"a\".claims is no map; accepted is what a token says, as in {sub: alice}"),
        ("cases: {a: {claims: {sub: u, n: 0x1F}, expect: allow}}", "cases.yaml:1: \"a\".claims has a number that JSON doesn't have in \"n\"; accepted is quotes around a text"),
        ("cases: {a: {headers: {x: {y: z}}, expect: allow}}", "cases.yaml:1: \"a\".headers has a map for \"x\"; accepted is a text, or a list of them for a header that comes several times"),
        ("cases: {a: {used: {default: much}, expect: allow}}", "cases.yaml:1: \"a\".used has no count for \"default\"; accepted is a whole number from 0 to 1000000000"),
        ("cases: {a: {used: {other: 1}, expect: allow}}", "cases.yaml:1: \"a\" can't be judged: there is no limit \"other\"; accepted is one of default"),
        ("cases: {a: {revoked: true, expect: allow}}", "cases.yaml:1: \"a\" can't be judged: the token is revoked, and revocation.enabled is false: nobody would ask"),
        ("cases: {a: {api_key: k, expect: allow}}", "cases.yaml:1: \"a\" can't be judged: there are no API keys; accepted is api_keys.file in the configuration"),
        ("cases: {a: {claims: {sub: u}, issuer: other, expect: allow}}", "cases.yaml:1: \"a\" can't be judged: there is no issuer \"other\"; accepted is one of jwt"),
    ])
    func `every mistake has its line`(_ cases: String, _ message: String) {
        #expect(throws: InvalidConfiguration.self) { try judge(cases) }
        do { _ = try judge(cases) } catch { #expect("\(error)" == message) }
    }

    @Test func `a mistake in the configuration is told as the daemon tells it`() throws {
        try withFile("limit: {count: none}") { path in
            let error = #expect(throws: InvalidConfiguration.self) { try Rehearsal(policyFile: path, environment: ["JWT_SECRET": secret]) }
            #expect(error?.description == "\(path):1: limit.count is \"none\"; accepted is a whole number from 1 to 1000000000")
        }
    }

    @Test func `what a case says is added to what all say`() throws {
        expectPassed(try judge("""
            defaults:
              request: DELETE /x
              claims: {sub: u1, role: admin, exp: 1767323045}
              headers: {x-a: one}
              used: {default: 100}
            cases:
              all of it: {expect: 401 token-expired}
              without a claim: {claims: {exp: null}, expect: 429}
              with another: {claims: {exp: 1767323046}, used: {default: 0}, expect: {subject: u1, request_headers: {x-user-role: admin}}}
              at another time: {time: 1767323044.5, used: {default: 0}, expect: allow}
              nobody: {claims: null, expect: 401 token-missing}
            """))
    }

    @Test func `tokens are verified, claims need not be signed`() throws {
        let claims = JSONObject([("sub", .string("u1")), ("exp", .number(JSONNumber(now / 1000 + 1)))])
        let token = try TokenSigner.sign(claims, with: PrivateKey(secret: Array(secret.utf8)))
        let forged = try TokenSigner.sign(claims, with: PrivateKey(secret: Array("another secret, of the same length".utf8)))
        expectPassed(try judge("""
            cases:
              signed: {token: \(token), expect: {verdict: allow, subject: u1}}
              once it has expired: {token: \(token), time: 1767323046, expect: 401 token-expired}
              forged: {token: \(forged), expect: 401 token-signature-invalid}
              what claims a stand-in is no token for anybody: {headers: {authorization: Bearer \(token)}, claims: {sub: u1}, expect: 400}
            """))
    }

    private static let rich = """
        issuers:
          staff: {issuer: "https://staff.example", audiences: [api], types: [at+jwt], jwks_url: "https://staff.example/keys"}
          partners: {issuer: "https://partners.example", secret: "thirty-two bytes of a good secret"}
        redis: {url: "redis://127.0.0.1:1"}
        revocation: {enabled: true}
        credentials: [header authorization Bearer, cookie session, query token]
        failed_authentications: {count: 20}
        limits:
          bucket: {key: [subject], algorithm: token-bucket, count: 10, window_seconds: 10, burst: 5}
          log: {key: [client.ip], algorithm: sliding-log, count: 3}
          fixed: {key: [subject], algorithm: fixed-window, count: 7}
        rules:
          admin:
            path: /admin/**
            issuers: [staff]
            conditions:
              not-an-admin: {claim: realm_access.roles, any_of: [admin]}
            limits: [bucket, log, fixed]
            request_headers: {x-path: "${request.path}"}
          open: {path: /open, authentication: none}
          preflight: {path: /api/**, allow_preflight: true, authentication: optional}
        """

    @Test func `rules, issuers, conditions, limits and revocation are those of the configuration`() throws {
        expectPassed(try judge("""
            defaults:
              request: GET /admin/users
              client: 2001:db8::1
              issuer: staff
              claims: {sub: u1, aud: api, realm_access: {roles: [user, admin]}}
            cases:
              an admin: {expect: {verdict: allow, rule: admin, request_headers: {x-path: /admin/users}}}
              a user: {claims: {realm_access: {roles: [user]}}, expect: 403 not-an-admin}
              another audience: {claims: {aud: web}, expect: 401 token-audience-wrong}
              another issuer: {issuer: partners, expect: 401 token-issuer-not-accepted}
              the issuer by what the token says: {issuer: null, claims: {iss: "https://staff.example"}, expect: allow}
              an issuer whose keys aren't fetched: {token: eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL3N0YWZmLmV4YW1wbGUifQ.AA, expect: 503 keys-unavailable}
              revoked: {revoked: true, expect: 401 token-revoked}
              the bucket's last: {used: {bucket: 4}, expect: {verdict: allow, response_headers: {x-ratelimit-remaining: 0}}}
              an empty bucket: {used: {bucket: 5}, expect: {status: 429, response_headers: {retry-after: 1}}}
              the log's last: {used: {log: 2}, expect: allow}
              a full log: {used: {log: 3}, expect: {status: 429, response_headers: {retry-after: 60}}}
              a full window: {used: {fixed: 7}, expect: {status: 429, response_headers: {retry-after: 55}}}
              too many failures: {used: {failed-authentications: 20}, expect: 429 authentication-failures-exceeded}
              no rule: {request: GET /, expect: {status: 403, reason: rule-missing}}
              open to all: {request: GET /open, claims: null, expect: {verdict: allow, rule: open}}
              a browser asks first:
                request: OPTIONS /api/x
                claims: null
                headers: {origin: "https://app.example", access-control-request-method: PUT}
                expect: allow allowed-preflight
            """, by: Self.rich))
    }

    @Test func `a credential stands where the configuration looks first`() throws {
        for (place, expectation) in [
            ("cookie session", "removed_headers: [cookie]"), ("query token", "query: a=b"), ("header x-token", "removed_headers: [x-token]"),
        ] {
            expectPassed(try judge(
                "cases: {a: {request: 'GET /?a=b', claims: {sub: u1}, expect: {verdict: allow, \(expectation)}}}",
                by: "credentials: [\(place)]"))
        }
    }

    @Test func `API keys are looked up in their file`() throws {
        let digest = "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"  // of "key"
        let file = #"{"keys":[{"sha256":"\#(digest)","subject":"svc","attributes":{"role":"robot"}}]}"#
        try withFile(file) { path in
            expectPassed(try judge("""
                cases:
                  known: {api_key: key, expect: {verdict: allow, subject: svc, request_headers: {x-user-role: robot}, removed_headers: [x-api-key]}}
                  unknown: {api_key: kee, expect: 401 api-key-unknown}
                """, by: "api_keys: {file: \(path)}", environment: [:]))
        }
    }

    @Test func `with several issuers one has to be meant`() throws {
        let error = #expect(throws: InvalidConfiguration.self) {
            try judge("cases: {a: {request: GET /admin/x, claims: {sub: u}, expect: allow}}", by: Self.rich, environment: [:])
        }
        #expect(error?.description == "cases.yaml:1: \"a\" can't be judged: the claims don't say by which issuer; accepted is one of staff, partners")
    }
}

@Suite struct `gatehouse explain` {
    private func explain(_ arguments: [String]) throws -> String {
        try ExplainCommand.parse(arguments + ["--now", "2026-01-02T03:04:05Z"])
            .explanation(environment: ["JWT_SECRET": secret], nowUnixMilliseconds: 0).text
    }

    @Test func `tells each step and the verdict`() throws {
        let text = try explain([
            "--path", "/api/%70rojects?a=b", "--method", "PUT", "--host", "h", "--claims", #"{"sub":"u1"}"#, "--used", "default=40",
            "--header", "X-A: b", "--client", "::1",
        ])
        #expect(text == """
            PUT h/api/projects?a=b
            1. rule default
            2. authenticated as "u1"
            3. limit default, counted by ratelimit:u1:: 59 of 100 left
            4. allowed: allowed

            allow
            reason: allowed
            subject: u1
            request: set x-user-id: u1
            request: remove x-user-email
            request: set x-user-role: user
            request: remove authorization
            response: set x-ratelimit-limit: 100
            response: set x-ratelimit-remaining: 59
            response: set x-ratelimit-reset: 1767323100
            response: set ratelimit-policy: "default";q=100;w=60
            response: set ratelimit: "default";r=59;t=55
            """)
    }

    @Test func `tells of conditions, and of a denial`() throws {
        let configuration = """
            rules:
              admin:
                conditions:
                  not-an-admin: {claim: role, equals: admin}
                  no-tenant: {claim: tenant, exists: true}
            """
        try withFile(configuration) { path in
            let text = try explain(["--config", path, "--path", "/", "--claims", #"{"sub":"u\n1","tenant":"t"}"#])
            #expect(text == """
                GET localhost/
                1. rule admin
                2. refused: token-claims-unfit
                3. denied with 401: token-claims-unfit

                deny
                reason: token-claims-unfit
                status: 401
                response: set content-type: application/json
                response: set www-authenticate: Bearer realm="gatehouse", error="invalid_token", error_description="Invalid token. Authentication failed."
                body: {"error":"Unauthorized","message":"Invalid token. Authentication failed."}
                """)
            let steps = try explain(["--config", path, "--path", "/", "--claims", #"{"sub":"u1","tenant":"t"}"#]).split(separator: "\n").prefix(5)
            #expect(steps.joined(separator: "\n") == """
                GET localhost/
                1. rule admin
                2. authenticated as "u1"
                3. condition on role: doesn't hold
                4. denied with 403: not-an-admin
                """)
        }
    }

    @Test(arguments: [
        (["--path", "/", "--claims", "{"], "--claims is no JSON: "),
        (["--path", "/", "--claims", "[]"], #"--claims is no JSON object; accepted is one as in {"sub":"alice"}"#),
        (["--path", "/", "--client", "home"], #"--client is "home"; accepted is an IP address"#),
        (["--path", "/a/%2e%2e/b"], "the proxy answers 400: There is a dot segment in the path."),
        (["--path", "/", "--used", "other=1"], #"there is no limit "other"; accepted is one of default"#),
        (["--path", "/", "--revoked"], "the token is revoked, and revocation.enabled is false: nobody would ask"),
        (["--path", "/", "--api-key", "k"], "there are no API keys; accepted is api_keys.file in the configuration"),
    ])
    func `says what it cannot use`(_ arguments: [String], _ message: String) throws {
        do {
            _ = try explain(arguments)
            Issue.record("no error")
        } catch {
            #expect("\(error)".hasPrefix(message))
        }
        #expect(throws: Failure.self) { try ExplainCommand.parse(["--path", "/", "--now", "soon"]).explanation(environment: ["JWT_SECRET": secret], nowUnixMilliseconds: 0) }
    }

    @Test(arguments: [
        ["--path", "/", "--token", "t", "--claims", "{}"], ["--path", "/", "--issuer", "i"], ["--path", "/", "--used", "default"],
        ["--path", "/", "--used", "default=-1"], [],
    ])
    func `refuses options that contradict each other`(_ arguments: [String]) {
        #expect(throws: (any Error).self) { try ExplainCommand.parse(arguments) }
    }
}
