import JSONWebToken
import Testing

@testable import KeySources

@Suite struct `Keys at an address` {
    private let server: HTTPServer

    init() throws { server = try HTTPServer() }

    private func keep(_ path: String = "/jwks", rules: RefreshRules = RefreshRules(), takingOver previous: KeyKeeper? = nil) throws -> Keeping {
        try Keeping([.url("corporate", server.url(path), rules: rules)], takingOver: previous)
    }

    private func keepDiscovered(issuer: String? = nil) throws -> Keeping {
        try Keeping([.openID("corporate", issuer: issuer ?? server.url(""))])
    }

    /// What the log says of the first attempt.
    private func firstLine(_ kept: Keeping) async throws -> String {
        try await kept.waitForFetches(1)
        try await wait("line") { !kept.log.lines.isEmpty }
        return kept.log.lines[0]
    }

    @Test func `arrive in the background`() async throws {
        await server.set("/jwks", KeyTexts.set("a", "b"))
        let kept = try keep()
        try await wait("keys") { kept.keeper.version == 1 }
        #expect(kept.ids() == ["a", "b"])
        #expect(try await firstLine(kept) == "notice: keys of corporate: 2 loaded (\"a\", \"b\") from \(server.url("/jwks"))")
        let status = kept.keeper.status(0)
        #expect(status == SourceStatus(name: "corporate", isAvailable: true, isFailing: false, ageSeconds: 0, fetches: 1, failures: 0))
    }

    @Test func `are not there yet while nobody answers, and being fetched`() async throws {
        await server.set("/jwks", .silence)
        let kept = try keep()
        try await wait("request") { server.requests("/jwks") == 1 }
        #expect(kept.keeper.keys(0) == nil)
        #expect(kept.keeper.isFetching(0))
        #expect(kept.keeper.status(0).ageSeconds == nil)
        await server.set("/jwks", KeyTexts.set("a"))
        try await kept.waitForFetches(1)
        #expect(kept.ids() == ["a"])
    }

    @Test func `are refreshed before Cache-Control says that they are old`() async throws {
        await server.set("/jwks", KeyTexts.set("a"), "Cache-Control: max-age=1000", "Age: 200")
        let kept = try keep()
        try await kept.waitForFetches(1)
        await server.set("/jwks", KeyTexts.set("b"), "Cache-Control: no-store")
        kept.advance(seconds: 599)
        #expect(kept.keeper.status(0).fetches == 1)
        kept.advance(seconds: 82)
        try await kept.waitForFetches(2)
        #expect(kept.ids() == ["b"])
        // The least time is 60 seconds, whatever the answer says.
        kept.advance(seconds: 44)
        #expect(kept.keeper.status(0).fetches == 2)
        kept.advance(seconds: 8)
        try await kept.waitForFetches(3)
        #expect(kept.keeper.version == 2, "the same bytes are no change")
        #expect(server.requests("/jwks") == 3)
    }

    @Test func `are fetched again for an unknown key, once in the interval`() async throws {
        await server.set("/jwks", KeyTexts.set("a"))
        let kept = try keep()
        try await kept.waitForFetches(1)
        await server.set("/jwks", .silence)
        kept.keeper.requestRefresh(of: 0)
        #expect(kept.keeper.isFetching(0))
        for _ in 0..<100 { kept.keeper.requestRefresh(of: 0) }
        try await wait("request") { server.requests("/jwks") == 2 }
        #expect(kept.keeper.isFetching(0))
        #expect(kept.ids() == ["a"])
        await server.set("/jwks", KeyTexts.set("a", "b"))
        try await kept.waitForFetches(2)
        #expect(kept.keeper.version == 2)
        #expect(kept.ids() == ["a", "b"])
        kept.advance(seconds: 29)
        kept.keeper.requestRefresh(of: 0)
        #expect(!kept.keeper.isFetching(0))
        kept.advance(seconds: 1)
        kept.keeper.requestRefresh(of: 0)
        try await kept.waitForFetches(3)
        #expect(server.requests("/jwks") == 3)
    }

    @Test func `outlive an outage, which is retried ever more slowly and told once`() async throws {
        await server.set("/jwks", KeyTexts.set("a"), "Cache-Control: max-age=100")
        let kept = try keep()
        try await kept.waitForFetches(1)
        await server.set("/jwks", .answer(status: 503, body: ""))
        kept.advance(seconds: 90)
        try await kept.waitForFetches(2)
        for (count, pause) in [1.0, 2, 4, 8, 16, 32, 60, 60].enumerated() {
            kept.advance(seconds: pause * 0.7)
            #expect(kept.keeper.status(0).fetches == count + 2)
            kept.advance(seconds: pause * 0.3)
            try await kept.waitForFetches(count + 3)
        }
        #expect(kept.ids() == ["a"])
        let status = kept.keeper.status(0)
        #expect(status.isFailing && status.isAvailable)
        #expect(status.failures == 9)
        #expect(status.ageSeconds.map { $0 > 270 } == true)
        #expect(kept.log.lines.count == 2)
        #expect(kept.log.lines[1] == "warning: keys of corporate from \(server.url("/jwks")) can't be refreshed: \(server.url("/jwks")) answered 503, and only 200 is accepted; the last good ones stay, from 90 s ago")
        await server.set("/jwks", KeyTexts.set("b"))
        kept.advance(seconds: 60)
        try await wait("new keys") { kept.keeper.version == 2 }
        try await wait("line") { kept.log.lines.count == 3 }
        #expect(kept.log.lines[2] == "notice: keys of corporate: 1 loaded (\"b\") from \(server.url("/jwks")), back after 9 failed attempts")
    }

    @Test func `may be late: a start without the server succeeds`() async throws {
        let address = server.url("/jwks")
        try await server.stop()
        let kept = try Keeping([.url("corporate", address)])
        #expect(try await firstLine(kept).hasSuffix("; there are none yet, and who needs them is refused"))
        #expect(kept.keeper.keys(0) == nil)
        #expect(!kept.keeper.isFetching(0))
    }

    @Test func `of one address come while another is silent`() async throws {
        await server.set("/jwks", KeyTexts.set("a"))
        await server.set("/slow", .silence)
        let kept = try Keeping([.url("slow", server.url("/slow")), .url("corporate", server.url("/jwks"))])
        try await wait("keys") { kept.ids(1) == ["a"] }
        kept.advance(seconds: 300)
        try await wait("refresh") { kept.keeper.status(1).fetches == 2 }
        #expect(kept.keeper.isFetching(0))
        // And the end of the keeper does not wait for it either.
        let start = ContinuousClock.now
        kept.keeper.stop()
        #expect(ContinuousClock.now - start < .seconds(2))
    }

    @Test func `pass to the next keeper, even while the server is out`() async throws {
        await server.set("/jwks", KeyTexts.set("a"))
        let first = try keep()
        try await first.waitForFetches(1)
        await server.set("/jwks", .silence)
        let second = try keep(rules: RefreshRules(unknownKeyIntervalSeconds: 5), takingOver: first.keeper)
        #expect(second.ids() == ["a"])
        #expect(try keep("/other", takingOver: first.keeper).keeper.keys(0) == nil)
    }

    @Test func `are never symmetric ones`() async throws {
        await server.set("/jwks", KeyTexts.setWithSecret("a"))
        let kept = try keep()
        try await kept.waitForFetches(1)
        #expect(kept.ids() == ["a"])
        await server.set("/jwks", KeyTexts.onlySecret)
        kept.keeper.requestRefresh(of: 0)
        try await kept.waitForFetches(2)
        #expect(kept.ids() == ["a"])
        #expect(kept.keeper.status(0).isFailing)
    }

    @Test(arguments: [
        (.answer(status: 404, body: KeyTexts.set("a")), "answered 404"),
        (.answer(status: 204, body: ""), "answered 204"),
        (.answer(status: 302, fields: ["Location: /good"], body: ""), "answered 302 (a redirect, which is not followed: give the address itself)"),
        (.answer(body: "<html>"), "JSON"),
        (.answer(body: "{}"), "keys"),
        (.answer(body: "{\"keys\":[]}"), "usable"),
        (.answer(body: String(repeating: " ", count: 1 << 20) + KeyTexts.set("a")), "answered more than 1048576 bytes"),
        (.answer(fields: Array(repeating: "X: " + String(repeating: "x", count: 8000), count: 10), body: KeyTexts.set("a")), "or 65536 of header"),
        (.answer(fields: ["Content-Encoding: gzip"], body: "\u{1f}"), "JSON"),
    ] as [(Reply, String)])
    func `are refused where the answer is wrong`(_ reply: Reply, _ message: String) async throws {
        await server.set("/good", KeyTexts.set("a"))
        await server.set("/jwks", reply)
        let kept = try keep()
        let line = try await firstLine(kept)
        #expect(line.contains(message), "\(line)")
        #expect(kept.keeper.keys(0) == nil)
        #expect(server.requests("/good") == 0)
    }

    @Test func `are logged without the address's password`() async throws {
        let kept = try Keeping([.url("corporate", "http://alice:secret@127.0.0.1:\(server.port)/none?key=secret")])
        let line = try await firstLine(kept)
        #expect(!line.contains("secret"), "\(line)")
        #expect(server.requests("/none?key=secret") == 1)
    }

    @Test func `must not be http to another host`() {
        #expect(throws: UnusableKeySource("http://idp.example/jwks is not https: http is accepted to a loopback address only, or where it is allowed explicitly")) {
            try KeySource.url("corporate", "http://idp.example/jwks")
        }
    }

    // MARK: Discovery

    @Test func `are found by the issuer's document`() async throws {
        await server.set("/.well-known/openid-configuration", #"{"issuer":"\#(server.url(""))","jwks_uri":"\#(server.url("/jwks"))"}"#)
        await server.set("/jwks", KeyTexts.set("a"), "Cache-Control: max-age=1000")
        let kept = try keepDiscovered()
        try await kept.waitForFetches(1)
        #expect(kept.ids() == ["a"])
        // An issuer may move its keys.
        await server.set("/.well-known/openid-configuration", #"{"issuer":"\#(server.url(""))","jwks_uri":"\#(server.url("/moved"))"}"#)
        await server.set("/moved", KeyTexts.set("b"))
        kept.advance(seconds: 749)
        #expect(kept.keeper.status(0).fetches == 1)
        kept.advance(seconds: 102)
        try await kept.waitForFetches(2)
        #expect(kept.ids() == ["b"])
    }

    @Test(arguments: [
        (#"{"issuer":"http://127.0.0.1:PORT/","jwks_uri":"http://127.0.0.1:PORT/jwks"}"#, "names the issuer \"http://127.0.0.1:PORT/\": only \"http://127.0.0.1:PORT\" is accepted"),
        (#"{"jwks_uri":"http://127.0.0.1:PORT/jwks"}"#, "names no issuer"),
        (#"{"issuer":"http://127.0.0.1:PORT"}"#, "has no jwks_uri"),
        (#"{"issuer":"http://127.0.0.1:PORT","jwks_uri":"http://idp.example/jwks"}"#, "is not https"),
        (#"{"issuer":"http://127.0.0.1:PORT","jwks_uri":"ftp://127.0.0.1/jwks"}"#, "neither https nor http"),
        (#"{"issuer":"http://127.0.0.1:PORT","jwks_uri":"file:///etc/passwd"}"#, "is no absolute URL"),
        (#"{"issuer":"http://127.0.0.1:PORT","jwks_uri":"/jwks"}"#, "is no absolute URL"),
        ("{", "is no discovery document"),
    ])
    func `are not there where the document is wrong`(_ document: String, _ message: String) async throws {
        let port = "\(server.port)"
        await server.set("/.well-known/openid-configuration", document.replacing("PORT", with: port))
        await server.set("/jwks", KeyTexts.set("a"))
        let kept = try keepDiscovered()
        let line = try await firstLine(kept)
        #expect(line.contains(message.replacing("PORT", with: port)), "\(line)")
        #expect(kept.keeper.keys(0) == nil)
        #expect(server.requests("/jwks") == 0)
    }
}
