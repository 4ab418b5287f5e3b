import ArgumentParser
import Bytes
import JSON
import JSONWebToken
import PolicyProtocol
import Testing

@testable import gatehouse

@Suite struct `A lifetime` {
    private static let accepted: [(String, Int64)] = [
        ("30s", 30), ("15m", 900), ("1h", 3_600), ("7d", 604_800), ("0s", 0), ("-1h", -3_600), ("365000d", 31_536_000_000),
    ]

    @Test(arguments: accepted)
    func `is a number and a unit`(_ text: String, _ seconds: Int64) { #expect(Lifetime(argument: text)?.seconds == seconds) }

    @Test(arguments: ["", "h", "1", "1w", "1H", "1.5h", " 1h", "1 h", "+1h", "--1h", "365001d", "9223372036854775807d", "1h30m", "soon"])
    func `is refused in any other spelling`(_ text: String) { #expect(Lifetime(argument: text) == nil) }
}

@Suite struct `gatehouse token` {
    @Test func `puts the claims in that a gateway reads`() throws {
        let command = try TokenCommand.parse(["--user", "u", "--email", "e@x", "--role", "admin", "--expires", "15m"])
        let claims = command.claims(nowUnixSeconds: 1_000)
        #expect(String(decoding: JSONValue.object(claims).serialized, as: UTF8.self)
            == #"{"userId":"u","email":"e@x","role":"admin","iat":1000,"exp":1900}"#)
    }

    @Test func `leaves out what was not given, and lasts an hour`() throws {
        let claims = try TokenCommand.parse(["--user", "u"]).claims(nowUnixSeconds: 0)
        #expect(claims.members.map(\.name) == ["userId", "iat", "exp"])
        #expect(claims["exp"]?.number?.integer == 3_600)
    }

    @Test func `mints one that has expired`() throws {
        let claims = try TokenCommand.parse(["--user", "u", "--expires", "-1h"]).claims(nowUnixSeconds: 10_000)
        #expect(claims["exp"]?.number?.integer == 6_400)
    }

    @Test func `needs a user and a lifetime it can read`() {
        #expect(throws: (any Error).self) { try TokenCommand.parse([]) }
        #expect(throws: (any Error).self) { try TokenCommand.parse(["--user", "u", "--expires", "soon"]) }
    }

    @Test func `needs a secret`() throws {
        #expect(throws: Failure.self) { try TokenCommand.key(secretFile: nil, environment: [:]) }
        #expect(throws: Failure.self) { try TokenCommand.key(secretFile: nil, environment: ["JWT_SECRET": ""]) }
        #expect(throws: Failure.self) { try TokenCommand.key(secretFile: "/nowhere/secret", environment: ["JWT_SECRET": "x"]) }
        #expect(throws: Failure.self) { try TokenCommand.key(secretFile: "/dev/null", environment: ["JWT_SECRET": "x"]) }
        let key = try TokenCommand.key(secretFile: nil, environment: ["JWT_SECRET": "secret"])
        let token = try TokenSigner.sign(try TokenCommand.parse(["--user", "u"]).claims(nowUnixSeconds: 0), with: key)
        let keys = KeySet(try VerificationKey(secret: Array("secret".utf8)))
        let verifier = TokenVerifier([TrustedIssuer(name: "test", keys: keys)])
        let claims = try verifier.verify(Array(token.utf8).span, nowUnixSeconds: 1).claims
        #expect(claims["userId"]?.string == "u")
    }
}

@Suite struct `gatehouse check` {
    @Test func `takes headers as people write them`() {
        #expect(Header(argument: "X-Tenant:  a b \t") == Header(name: "x-tenant", value: "a b"))
        #expect(Header(argument: "Referer: http://a/") == Header(name: "referer", value: "http://a/"))
        #expect(Header(argument: "empty:") == Header(name: "empty", value: ""))
        #expect(Header(argument: "nothing") == nil)
        #expect(Header(argument: ": value") == nil)
    }

    @Test func `asks where it is told, else where the environment says, else in the usual places`() {
        let environment = ["POLICY_SOCKET": "/a.sock, /b.sock", "XDG_RUNTIME_DIR": "/run/user/7"]
        #expect(CheckCommand.socketPaths("/c.sock", environment: environment) == ["/c.sock"])
        #expect(CheckCommand.socketPaths(nil, environment: environment) == ["/a.sock", "/b.sock"])
        #expect(CheckCommand.socketPaths(nil, environment: ["POLICY_SOCKET": ""]) == ["/run/gatehouse/policy.sock"])
        #expect(CheckCommand.socketPaths(nil, environment: ["XDG_RUNTIME_DIR": "/r"]) == ["/r/gatehouse/policy.sock", "/run/gatehouse/policy.sock"])
    }

    @Test(arguments: ["a", "", "/a b", "/é", "/a\n"])
    func `refuses a path that no CHECK may carry`(_ path: String) {
        #expect(throws: (any Error).self) { try CheckCommand.parse(["--path", path]) }
    }

    @Test func `asks as a proxy does, in the normal form of a path`() throws {
        #expect(try CheckCommand.parse(["--path", "/%61pi?x=1"]).path == "/api?x=1")
        for path in ["/a/../b", "/a//b"] {
            #expect(throws: (any Error).self) { try CheckCommand.parse(["--path", path]) }
        }
    }

    @Test func `reports an allow`() throws {
        let answer = try answer { buffer in
            let (reason, name, value, other) = (Array("allowed".utf8), Array("x-user-id".utf8), Array("u\u{e9}".utf8), Array("authorization".utf8))
            var writer = VerdictWriter(allow: 1, reason: reason.span, to: buffer, maximumFrameBytes: 16_384)
            writer.subject(value.span)
            writer.setRequestHeader(name.span, value.span)
            writer.removeRequestHeader(other.span)
            writer.setResponseHeader(name.span, decimal: 9)
            try writer.finish()
        }
        #expect(answer.isAllowed)
        #expect(answer.report == """
            allow
            reason: allowed
            subject: ué
            request: set x-user-id: ué
            request: remove authorization
            response: set x-user-id: 9
            """)
    }

    @Test func `reports a denial, and lets no control character through`() throws {
        let answer = try answer { buffer in
            let (reason, subject, body) = (Array("token-missing".utf8), Array("a\u{1b}[2J\nb".utf8), Array("{}\n".utf8))
            var writer = VerdictWriter(deny: 1, status: 401, reason: reason.span, to: buffer, maximumFrameBytes: 16_384)
            writer.subject(subject.span)
            writer.body(body.span)
            try writer.finish()
        }
        #expect(!answer.isAllowed)
        #expect(answer.report == "deny\nreason: token-missing\nsubject: a\\u{1B}[2J\\nb\nstatus: 401\nbody: {}\\n")
    }

    private func answer(_ write: (ByteBuffer) throws -> Void) throws -> VerdictReport {
        let buffer = ByteBuffer(capacity: 64)
        try write(buffer)
        buffer.consume(FrameHeader.byteCount)
        return VerdictReport(try VerdictMessage.parse(buffer.bytes), buffer.bytes, unsentHeaders: [])
    }
}
