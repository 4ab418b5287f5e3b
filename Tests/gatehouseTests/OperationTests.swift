import EventLoop
import Logging
import Telemetry
import Testing

@testable import gatehouse

@Suite struct `gatehouse revoke` {
    private func command(_ arguments: [String], nowUnixMilliseconds: Int64 = 1_000_001) throws -> [String] {
        try RevokeCommand.parse(arguments).command(nowUnixMilliseconds: nowUnixMilliseconds).map { String(decoding: $0, as: UTF8.self) }
    }

    @Test(arguments: [
        (["--token-id", "j", "--for", "24h"], ["SET", "revoked:token:j", "1001", "EX", "86400"]),
        (["--subject", "u", "--for", "30s"], ["SET", "revoked:subject:u", "1001", "EX", "30"]),
        (["--subject", "u", "--for", "1m", "--issued-before", "now"], ["SET", "revoked:subject:u", "1001", "EX", "60"]),
        (["--subject", "u", "--for", "1m", "--issued-before", "900"], ["SET", "revoked:subject:u", "900", "EX", "60"]),
        (["--subject", "u", "--undo"], ["DEL", "revoked:subject:u"]),
        (["--token-id", "j", "--undo"], ["DEL", "revoked:token:j"]),
    ])
    func `writes what the daemons look for`(_ arguments: [String], _ expected: [String]) throws {
        #expect(try command(arguments) == expected)
    }

    @Test func `a token of this very second was issued before now`() throws {
        #expect(try command(["--subject", "u", "--for", "1m"], nowUnixMilliseconds: 1_000_000)[2] == "1000")
        #expect(try command(["--subject", "u", "--for", "1m"], nowUnixMilliseconds: 1_000_999)[2] == "1001")
    }

    @Test(arguments: [
        [], ["--for", "1h"], ["--token-id", "j"], ["--token-id", "", "--for", "1h"], ["--subject", "", "--for", "1h"],
        ["--token-id", "j", "--subject", "u", "--for", "1h"], ["--token-id", "j", "--for", "1h", "--issued-before", "now"],
        ["--token-id", "j", "--for", "0s"], ["--token-id", "j", "--for", "soon"], ["--token-id", "j", "--for", "1h", "--undo"],
        ["--subject", "u", "--undo", "--issued-before", "5"], ["--subject", "u", "--for", "1h", "--issued-before", "then"],
        ["--subject", "u", "--for", "1h", "--redis", "http://localhost"],
    ])
    func `refuses what can't be meant`(_ arguments: [String]) { #expect(throws: (any Error).self) { try RevokeCommand.parse(arguments) } }

    @Test func `goes where it is told, else where the configuration or the environment says`() throws {
        let environment = ["REDIS_URL": "redis://b:2"]
        func address(_ arguments: [String], _ environment: [String: String]) throws -> String {
            try RevokeCommand.parse(["--token-id", "j", "--undo"] + arguments).address(environment: environment).description
        }
        #expect(try address(["--redis", "redis://a:1/3"], environment) == "a:1/3")
        #expect(try address([], environment) == "b:2/0")
        #expect(throws: Failure.self) { try address([], [:]) }
        #expect(throws: Failure.self) { try address([], ["REDIS_URL": ""]) }
        let failure = #expect(throws: Failure.self) { try address([], ["REDIS_URL": "http://u:secret@a"]) }
        #expect(failure?.description.hasPrefix(#"REDIS_URL is "http://…@a"; accepted is redis://"#) == true)
        #expect(throws: (any Error).self) { try address(["--config", "/nowhere"], environment) }
        #expect(throws: Failure.self) { try address(["--config", "/dev/null"], ["JWT_SECRET": "x"]) }
        #expect(try address(["--config", "/dev/null"], ["JWT_SECRET": "x", "REDIS_URL": "redis://c:3"]) == "c:3/0")
    }
}

@Suite struct `gatehouse reload` {
    private func withListener(_ routes: [AdminRoute], _ body: (AdminPlace) throws -> Void) throws {
        let listener = try AdminListener(
            on: .tcp(SocketAddress.resolve(host: "127.0.0.1", port: 0)[0]), of: ListeningSockets(), routes: routes,
            logger: Logger(label: "test"))
        try listener.start()
        defer { listener.stop() }
        try body(try #require(AdminPlace(argument: "127.0.0.1:\(listener.address.port)")))
    }

    @Test func `brings home what the daemon answers`() throws {
        let long = String(repeating: "policyd.yaml:1: a mistake\n", count: 10_000)
        try withListener([
            AdminRoute(.post, "/reload") { AdminAnswer(422, long) }, AdminRoute(.get, "/metrics") { AdminAnswer(200, "up 1") },
        ]) { place in
            let refused = try place.ask("POST", "/reload")
            #expect(refused.status == 422)
            #expect(refused.body == long + "\n")
            #expect(try place.ask("GET", "/metrics").body == "up 1\n")
            #expect(try place.ask("POST", "/nothing").status == 404)
        }
    }

    @Test func `says that nobody answers`() throws {
        var closed: AdminPlace?
        try withListener([]) { closed = $0 }
        let place = try #require(closed)
        #expect(throws: (any Error).self) { try place.ask("POST", "/reload") }
        #expect(throws: (any Error).self) { try #require(AdminPlace(argument: "unix:/nowhere/admin.sock")).ask("POST", "/reload") }
    }

    @Test func `takes the places that admin listen may have`() {
        for text in ["127.0.0.1:9464", "[::1]:9464", "localhost:1", "unix:/run/admin.sock"] {
            #expect(AdminPlace(argument: text)?.description == text)
        }
        for text in ["", "9464", ":9464", "::1:9464", "127.0.0.1:", "127.0.0.1:65536", "unix:admin.sock", "unix:/" + String(repeating: "a", count: 107)] {
            #expect(AdminPlace(argument: text) == nil)
        }
    }
}
