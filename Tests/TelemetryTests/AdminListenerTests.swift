import EventLoop
import Foundation
import Synchronization
import Testing

@testable import Telemetry

private let get = "GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n"
private let lastGet = "GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

private func request(_ line: String, _ fields: String = "") -> String {
    "\(line) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\(fields)\r\n"
}

@Suite struct `The admin listener` {
    private let isReady = Flag()
    private let routes: [AdminRoute]

    init() throws {
        let isReady = isReady
        let registry = MetricRegistry()
        try registry.declare { (families) throws(UnfitMetrics) in try families.counter("scrapes_total", "") { _ in 1 } }
        routes = [
            .metrics(registry), .live, .ready { isReady.isSet ? nil : "the keys of example are not there" },
            AdminRoute(.post, "/reload") { AdminAnswer(409, "line 3: no such thing") },
        ]
    }

    @Test func `answers a scrape`() async throws {
        try await withListener(routes) { client, _ in
            let answer = try #require(await client.ask(request("GET /metrics")))
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\nDate: "))
            #expect(answer.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: 67\r\n"))
            #expect(answer.contains("\r\nConnection: close\r\n\r\n"))
            #expect(answer.hasSuffix("\r\n\r\n# HELP scrapes_total \n# TYPE scrapes_total counter\nscrapes_total 1\n"))
        }
    }

    @Test func `says whether it is ready, and what is missing`() async throws {
        try await withListener(routes) { client, _ in
            let before = await client.ask(request("GET /ready"))
            #expect(before?.hasPrefix("HTTP/1.1 503 ") == true)
            #expect(before?.hasSuffix("\r\n\r\nnot ready: the keys of example are not there\n") == true)
            isReady.set()
            #expect(await client.ask(request("GET /ready"))?.hasPrefix("HTTP/1.1 200 ") == true)
            #expect(await client.ask(request("GET /live?probe=1"))?.hasSuffix("\r\n\r\nlive\n") == true)
        }
    }

    @Test func `hands a POST to its route`() async throws {
        try await withListener(routes) { client, _ in
            for fields in ["", "Content-Length: 0\r\n"] {
                let answer = await client.ask(request("POST /reload", fields))
                #expect(answer?.hasPrefix("HTTP/1.1 409 Conflict\r\n") == true)
                #expect(answer?.hasSuffix("\r\n\r\nline 3: no such thing\n") == true)
            }
        }
    }

    @Test(arguments: [
        ("GET /", 404), ("GET /metrics/", 404), ("GET /metric", 404), ("GET /LIVE", 404), ("GET /reload", 405), ("POST /live", 405),
        ("DELETE /metrics", 405), ("get /live", 405), ("OPTIONS *", 404), ("CONNECT localhost:1", 405), ("GET /../live", 400),
        ("GET //live", 400), ("GET live", 400), ("GET http://elsewhere/live", 400), ("GET http://localhost/live", 200),
    ])
    func `answers its routes and nothing else`(_ line: String, _ status: Int) async throws {
        try await withListener(routes) { client, _ in
            let answer = await client.ask(request(line))
            #expect(answer?.hasPrefix("HTTP/1.1 \(status) ") == true, "\(answer ?? "nothing")")
        }
    }

    @Test func `names the method that a route has`() async throws {
        try await withListener(routes) { client, _ in
            #expect(await client.ask(request("GET /reload"))?.contains("\r\nAllow: POST\r\n") == true)
            #expect(await client.ask(request("PUT /live"))?.contains("\r\nAllow: GET, HEAD\r\n") == true)
        }
    }

    @Test func `answers HEAD without the content`() async throws {
        try await withListener(routes) { client, _ in
            let answer = await client.ask(request("HEAD /live"))
            #expect(answer?.contains("\r\nContent-Length: 5\r\n") == true)
            #expect(answer?.hasSuffix("\r\n\r\n") == true)
        }
    }

    @Test(arguments: [
        ("GET /live\r\n\r\n", 400), ("GET /live HTTP/1.1\r\n\r\n", 400), ("GET /live HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        ("GET /live HTTP/1.1\nHost: a\n\n", 400), ("\r\nGET /live HTTP/1.1\r\nHost: a\r\n\r\n", 400), ("\u{16}\u{3}\u{1}\r\n", 400),
        ("GET /live HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("GET /live HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", 413),
        ("POST /reload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 413),
        ("POST /reload HTTP/1.1\r\nHost: a\r\nOrigin: https://evil.example\r\n\r\n", 403),
        ("GET /\(String(repeating: "a", count: 2_048)) HTTP/1.1\r\n", 414),
        ("GET /live HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "a", count: 6_200))", 431),
    ])
    func `refuses what is malformed or too much, and closes`(_ text: String, _ status: Int) async throws {
        try await withListener(routes) { client, _ in
            // What stands behind it is read by nobody.
            let answer = try #require(await client.ask([text, get]))
            #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(answer)")
            #expect(answer.contains("\r\nConnection: close\r\n"))
            #expect(answer.ranges(of: "\r\nDate: ").count == 1)
        }
    }

    @Test func `reads a request however it is split, and several on one connection`() async throws {
        try await withListener(routes) { client, _ in
            let text = get + get + lastGet
            for parts in [[text], text.map { String($0) }] {
                let answer = try #require(await client.ask(parts))
                #expect(answer.ranges(of: "HTTP/1.1 200 OK").count == 3)
                #expect(answer.ranges(of: "Connection: close").count == 1)
            }
        }
    }

    @Test func `closes after an answer to HTTP/1.0`() async throws {
        try await withListener(routes) { client, _ in
            let answer = await client.ask("GET /live HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            #expect(answer?.hasSuffix("\r\nConnection: close\r\n\r\nlive\n") == true)
        }
    }

    @Test func `closes where no request comes, or none in whole`() async throws {
        var limits = AdminLimits()
        limits.idleMilliseconds = 30
        limits.headMilliseconds = 30
        try await withListener(routes, limits) { client, _ in
            #expect(await client.ask("") == "")
            #expect(await client.ask("GET /live HTTP/1.1\r\nHost:") == "")
            #expect(await client.ask(get)?.hasPrefix("HTTP/1.1 200 ") == true)
        }
    }

    @Test func `doesn't wait for an answer for good`() async throws {
        var limits = AdminLimits()
        limits.answerMilliseconds = 30
        let gate = Gate()
        let slow = AdminRoute(.get, "/slow") { await gate.pass(); return AdminAnswer(200, "late") }
        try await withListener([slow, .live], limits) { client, _ in
            let answer = await client.ask(request("GET /slow"))
            #expect(answer?.hasPrefix("HTTP/1.1 503 ") == true)
            await gate.open()
            #expect(await client.ask(lastGet)?.hasPrefix("HTTP/1.1 200 ") == true)
        }
    }

    @Test func `serves others while a client doesn't take its answer`() async throws {
        var limits = AdminLimits()
        limits.sendMilliseconds = 200
        let large = [UInt8](repeating: 0x61, count: 32 * 1024 * 1024)
        let routes = [AdminRoute(.get, "/large") { AdminAnswer(200, contentType: "text/plain", body: large) }, .live]
        try await withListener(routes, limits) { client, _ in
            // Its first bytes are read, and no more.
            _ = await client.askAndStay("GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(await client.ask(lastGet)?.hasPrefix("HTTP/1.1 200 ") == true)
        }
    }

    @Test func `sends the client away that was idle longest when there are too many`() async throws {
        var limits = AdminLimits()
        limits.connections = 3
        try await withListener(routes, limits) { client, _ in
            for _ in 0..<10 { #expect(await client.askAndStay(get).hasPrefix("HTTP/1.1 200 ")) }
            #expect(await client.ask(lastGet)?.hasPrefix("HTTP/1.1 200 ") == true)
        }
    }

    @Test func `finishes what is in flight when it stops`() async throws {
        let gate = Gate()
        let entered = Gate()
        let route = AdminRoute(.get, "/slow") { await entered.open(); await gate.pass(); return AdminAnswer(200, "done") }
        let place = AdminAddress.tcp(try SocketAddress.resolve(host: "127.0.0.1", port: 0)[0])
        try await withListener([route, .live], on: place) { client, listener in
            _ = await client.askAndStay(get)
            async let answer = client.ask("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            await entered.pass()
            let stopping = try SystemThread(name: "stop") { listener.stop() }
            await gate.open()
            let text = await answer
            #expect(text?.hasSuffix("\r\n\r\ndone\n") == true)
            stopping.join()
            #expect(await client.ask(lastGet) == "not connected")
        }
    }

    @Test func `listens on a Unix socket of its mode, and takes it away at the end`() async throws {
        let path = NSTemporaryDirectory() + "admin-\(UUID().uuidString.prefix(8)).sock"
        try await withListener(routes, on: .unix(path: path, mode: 0o600)) { client, _ in
            #expect(await client.ask(lastGet)?.hasPrefix("HTTP/1.1 200 ") == true)
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            #expect(attributes[.posixPermissions] as? Int == 0o600)
        }
        #expect(!FileManager.default.fileExists(atPath: path))
        try? FileManager.default.removeItem(atPath: path + ".lock")
    }
}

private final class Flag: Sendable {
    private let value = Atomic(false)
    var isSet: Bool { value.load(ordering: .relaxed) }
    func set() { value.store(true, ordering: .relaxed) }
}

/// Closed until it is opened.
private actor Gate {
    private var isOpen = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    func pass() async {
        guard !isOpen else { return }
        await withCheckedContinuation { waiting.append($0) }
    }

    func open() {
        isOpen = true
        waiting.forEach { $0.resume() }
        waiting = []
    }
}
