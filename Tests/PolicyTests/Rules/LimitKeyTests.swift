import Bytes
import JSON
import Testing

@testable import Policy

private func key(_ parts: [String], of subject: LimitSubject = LimitSubject(), _ request: Request = .made(), rule: String = "api") throws -> String? {
    let key = try LimitKey(name: "per-minute", parts: parts.map { try LimitKey.Part($0) }, rule: rule)
    let buffer = ByteBuffer(capacity: 16)
    buffer.append("k:")
    guard key.append(of: subject, request: request.view, to: buffer) else {
        #expect(text(buffer) == "k:")
        return nil
    }
    return String(text(buffer).dropFirst(2))
}

@Suite struct `A limit's key` {
    @Test func `is made of the parts that were chosen`() throws {
        let subject = LimitSubject(
            subject: Array("usr_1".utf8), apiKey: Array("k7".utf8), claims: try claims(#"{"tenant":"red","n":7,"yes":true,"a":{"b":"c"}}"#))
        let request = Request.made(clientAddress: "2001:db8::1", headers: [("x-team", "a"), ("x-team", "b")])
        func made(_ parts: String...) throws -> String? { try key(parts, of: subject, request, rule: "rule one") }
        #expect(try made() == "per-minute")
        #expect(try made("subject") == "per-minute|sub=usr_1")
        #expect(try made("client.ip", "rule") == "per-minute|ip=2001:db8:0:0::/64|rule=rule%20one")
        #expect(try made("api_key", "claim.tenant") == "per-minute|key=k7|claim.tenant=red")
        #expect(try made("claim.n", "claim.yes", "claim.a.b", #"claim."a=b""#) == #"per-minute|claim.n=7|claim.yes=true|claim.a.b=c|claim."a%3db""#)
        #expect(try made("header.x-team", "header.x") == "per-minute|header.x-team=a,%20b|header.x")
    }

    @Test func `tells a missing part from an empty one`() throws {
        #expect(try key(["subject", "api_key", "claim.a", "client.ip"], of: LimitSubject(), .made(clientAddress: "")) == "per-minute|sub|key|claim.a|ip")
        let empty = LimitSubject(subject: [], apiKey: [], claims: try claims(#"{"a":""}"#))
        #expect(try key(["subject", "api_key", "claim.a"], of: empty) == "per-minute|sub=|key=|claim.a=")
        #expect(try key(["claim.a"], of: LimitSubject(claims: claims(#"{"a":null}"#))) == "per-minute|claim.a")
    }

    @Test func `escapes what would end a part, or choose a slot of a cluster`() throws {
        let subject = LimitSubject(subject: Array("{a}|sub=b%\n é".utf8))
        #expect(try key(["subject"], of: subject) == "per-minute|sub=%7ba%7d%7csub=b%25%0a%20é")
        #expect(try key(["header.x"], .made(headers: [("x", "a|b")])) == "per-minute|header.x=a%7cb")
    }

    @Test func `is none for a list, an address that is none, or too long a value`() throws {
        #expect(try key(["claim.a"], of: LimitSubject(claims: claims(#"{"a":["b"]}"#))) == nil)
        #expect(try key(["subject", "client.ip"], .made(clientAddress: "nowhere")) == nil)
        let room = RuleLimits.limitKeyBytes - "per-minute|sub=".utf8.count
        #expect(try key(["subject"], of: LimitSubject(subject: Array(repeating: 97, count: room)))?.utf8.count == 1024)
        #expect(try key(["subject"], of: LimitSubject(subject: Array(repeating: 97, count: room + 1))) == nil)
    }

    @Test(arguments: [
        (["subject"], false, true, []), (["client.ip"], true, false, []), (["header.a", "subject"], true, true, ["a"]), (["rule"], false, false, []), ([], false, false, []),
        (["claim.a"], false, true, []), (["api_key"], false, true, []),
    ])
    func `says what it depends on`(parts: [String], request: Bool, identity: Bool, headers: [String]) throws {
        let key = try LimitKey(name: "a", parts: parts.map { try LimitKey.Part($0) }, rule: "r")
        #expect(key.dependsOnRequest == request)
        #expect(key.dependsOnIdentity == identity)
        #expect(key.headerNames == headers.map { Array($0.utf8) })
    }

    /// Values out of few characters, the special ones among them, so that a collision would show.
    @Test func `is the same for no two combinations`() throws {
        var random = SeededGenerator(seed: 7)
        var seen: [String: String] = [:]
        func value() -> String? {
            guard Int.random(in: 0..<6, using: &random) > 0 else { return nil }
            let characters = ["a", "|", "=", "%", "sub", "7c", " ", ",", "key", "{", "\u{1}"]
            return (0..<Int.random(in: 0...3, using: &random)).map { _ in characters.randomElement(using: &random)! }.joined()
        }
        for _ in 0..<30_000 {
            let (user, apiKey, claim, header) = (value(), value(), value(), value())
            let parts = ["subject", "api_key", "claim.c", "header.h", "rule"].shuffled(using: &random).prefix(Int.random(in: 1...4, using: &random))
            let subject = LimitSubject(
                subject: user.map { Array($0.utf8) }, apiKey: apiKey.map { Array($0.utf8) }, claims: JSONObject(claim.map { [("c", .string($0))] } ?? []))
            let rule = value() ?? ""
            let values = parts.map { part -> String? in
                switch part {
                case "subject": user
                case "api_key": apiKey
                case "claim.c": claim
                case "header.h": header
                default: rule
                }
            }
            let combination = "\(parts) \(values)"
            let made = try #require(try key(Array(parts), of: subject, .made(headers: header.map { [("h", $0)] } ?? []), rule: rule))
            #expect(seen[made] == nil || seen[made] == combination, "\(made)")
            seen[made] = combination
            #expect(!made.utf8.contains { $0 <= 0x20 || $0 == UInt8(ascii: "{") })
        }
    }

    @Test func `that can't be used is refused`() {
        #expect(mistake { try LimitKey.Part("ip") } == #""ip" is no part of a limit's key: accepted are subject, client.ip, api_key, rule, claim.NAME, header.NAME, certificate.subject and certificate.fingerprint"#)
        #expect(mistake { try LimitKey.Part("header.A") } == #""A" is no header name: accepted is a token of 1 to 255 bytes in lower case, as in x-user-id"#)
        #expect(mistake { try LimitKey.Part("claim.") } != nil)
        #expect(mistake { try LimitKey(name: "a", parts: [.rule, .subject, .rule], rule: "r") } == #"the key of the limit "a" has a part twice"#)
        for name in ["", "a b", "a|b", String(repeating: "a", count: 65)] {
            #expect(mistake { try LimitKey(name: name, parts: [], rule: "r") } == "\(name.debugDescription) is no name of a limit: accepted are 1 to 64 letters, digits, _, - and dots")
        }
    }
}
