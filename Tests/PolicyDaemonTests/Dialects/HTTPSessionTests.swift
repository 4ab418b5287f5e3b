import Bytes
import Testing

@testable import PolicyDaemon

/// A client of the HTTP dialect.
final class HTTPConversation {
    let judge = ScriptedJudge()
    let input = ByteBuffer(capacity: 1024)
    let session: HTTPSession
    private(set) var lateOutputs = 0

    init(maximumInFlight: Int = 16) {
        session = HTTPSession(judge, maximumInFlight: maximumInFlight, output: ByteBuffer(capacity: 1024))
        session.hasLateOutput = { [unowned self] in lateOutputs += 1 }
    }

    func send(_ text: String) { send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) {
        input.append(bytes)
        session.receive(input, nowUnixMilliseconds: 0)
    }

    /// What was answered since the last look.
    func answer() -> String {
        let output = session.output
        defer { output.clear() }
        return output.bytes.text
    }
}

func nginx(
    _ target: String = "/api?x=1", method: String = "GET", host: String = "example.com", address: String = "192.0.2.7", _ fields: String...
) -> String {
    "GET /nginx HTTP/1.1\r\nHost: gatehouse\r\nX-Original-Method: \(method)\r\nX-Original-URI: \(target)\r\nX-Original-Host: \(host)\r\n"
        + "X-Original-Address: \(address)\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n"
}

func forward(_ target: String = "/api?x=1", for addresses: String = "192.0.2.7", _ fields: String...) -> String {
    "GET /forward HTTP/1.1\r\nHost: gatehouse\r\nX-Forwarded-Method: PUT\r\nX-Forwarded-Uri: \(target)\r\nX-Forwarded-Host: example.com\r\n"
        + "X-Forwarded-Proto: https\r\nX-Forwarded-For: \(addresses)\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n"
}

@Suite struct `What a proxy asks over HTTP` {
    @Test func `nginx says it in X-Original headers`() {
        let client = HTTPConversation()
        client.send(nginx("/a/%62?x=%2F", method: "POST", host: "Example.com:8080", "Authorization: Bearer t", "Accept: */*", "COOKIE: a=b"))
        #expect(client.judge.questions == [
            ScriptedJudge.Question(
                method: "POST", authority: "Example.com:8080", path: "/a/b", query: "x=%2F", address: "192.0.2.7",
                headers: ["authorization: Bearer t", "cookie: a=b"])
        ])
    }

    @Test func `Traefik and Caddy say it in X-Forwarded headers, of whose addresses the last is the client's`() {
        let client = HTTPConversation()
        client.send(forward("/a", for: "10.0.0.1, 2001:db8::1"))
        #expect(client.judge.questions == [
            ScriptedJudge.Question(method: "PUT", authority: "example.com", path: "/a", query: nil, address: "2001:db8::1")
        ])
    }

    @Test(arguments: ["X_User_Email", "x-user.email"])
    func `Envoy may not ask for a request with a header that a backend takes for the gateway's`(name: String) {
        let client = HTTPConversation()
        client.send("GET /envoy/a HTTP/1.1\r\nHost: a\r\nX-Original-Address: ::1\r\n\(name): admin\r\n\r\n")
        #expect(client.judge.questions.isEmpty)
        #expect(client.judge.refusedCount == 1)
        #expect(client.answer().hasPrefix("HTTP/1.1 400 "))
    }

    @Test(arguments: [("/envoy/a?b", "DELETE", "/a"), ("/envoy*", "OPTIONS", "*")])
    func `Envoy asks with the request itself, behind a prefix`(target: String, method: String, path: String) {
        let client = HTTPConversation()
        client.send("\(method) \(target) HTTP/1.1\r\nHost: example.com\r\nContent-Length: 0\r\nX-Original-Address: 192.0.2.7\r\n\r\n")
        #expect(client.judge.questions.map(\.method) == [method])
        #expect(client.judge.questions.map(\.path) == [path])
        #expect(client.judge.questions.map(\.authority) == ["example.com"])
    }

    @Test func `a header that came more than once is seen as often`() {
        let client = HTTPConversation()
        client.send(nginx("/", "Authorization: a", "Authorization: b"))
        #expect(client.judge.questions.first?.headers == ["authorization: a", "authorization: b"])
    }

    @Test func `a client on a Unix socket has no address`() {
        let client = HTTPConversation()
        client.send(nginx(address: "unix:"))
        #expect(client.judge.questions.map(\.address) == [""])
    }

    @Test(arguments: [
        nginx().replacing("X-Original-Method: GET\r\n", with: ""), nginx().replacing("X-Original-URI: /api?x=1\r\n", with: ""),
        nginx().replacing("X-Original-Host: example.com\r\n", with: ""), nginx().replacing("X-Original-Address: 192.0.2.7\r\n", with: ""),
        nginx(""), nginx(method: ""), nginx(host: ""), nginx(address: ""), nginx("/", "X-Original-URI: /"), nginx("/", "x-original-uri: /b"),
        nginx("/", "X-Original-Method: GET"), nginx("/", "X-Original-Address: 192.0.2.7"), nginx(method: "G T"), nginx(host: "a/b"),
        nginx(host: "a@b"), nginx(address: "localhost"), nginx(address: "192.0.2.7:80"), forward(for: ""), forward(for: "10.0.0.1,"),
        forward(for: "10.0.0.1, x"), forward("/", "X-Forwarded-For: 10.0.0.1"), forward().replacing("X-Forwarded-Uri: /api?x=1\r\n", with: ""),
        forward("/", "X-Forwarded-Host: b"), "GET /envoy/a HTTP/1.1\r\nHost: example.com\r\n\r\n",
    ])
    func `a question that lacks a part, or has one twice, is a denial that says so`(question: String) {
        let client = HTTPConversation()
        client.send(question)
        #expect(client.judge.questions.isEmpty)
        let answer = client.answer()
        #expect(answer.hasPrefix("HTTP/1.1 403 ") || answer.hasPrefix("HTTP/1.1 400 "))
        #expect(answer.contains(#"{"error":"Bad Request","message":""#))
        #expect(!client.session.isOver)
    }

    @Test(arguments: [
        "/a//b", "/../a", "/a/.", "/%2e%2e/a", "/a%2fb", "/a\\b", "/a%5Cb", "/a%00", "/%zz", "/a#b", "/%252f", "/a;/..;/b", "/a b", "/\u{e4}",
    ])
    func `a target of which two readers could make two things is denied`(target: String) {
        for question in [nginx(target), forward(target), "GET /envoy\(target) HTTP/1.1\r\nHost: a\r\nX-Original-Address: ::1\r\n\r\n"] {
            let client = HTTPConversation()
            client.send(question)
            #expect(client.judge.questions.isEmpty)
            #expect(client.answer().contains("Bad Request"))
        }
    }

    @Test(arguments: ["*", "a", "http://other/a", "?a"])
    func `so is one that is no path`(target: String) {
        let client = HTTPConversation()
        client.send(nginx(target) + forward(target))
        #expect(client.judge.questions.isEmpty)
    }

    @Test(arguments: [
        "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.", ".1.2.3", "1.2.3.4:80", "1::2::3", ":1", "1:", ":::", "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9", "12345::", "::1%25eth0", "[::1]", "::1.2.3", "1:2:3:4:5:6:7::8", "g::", "::1.2.3.4:5", "localhost",
    ])
    func `an address that is none, or has a port, is no client's`(address: String) {
        let client = HTTPConversation()
        client.send(nginx(address: address))
        #expect(client.judge.questions.isEmpty)
    }

    @Test(arguments: ["0.0.0.0", "255.255.255.255", "::", "::1", "1::", "fe80::1:2", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4", "2001:DB8::a"])
    func `an address is one`(address: String) {
        let client = HTTPConversation()
        client.send(nginx(address: address))
        #expect(client.judge.questions.map(\.address) == [address])
    }

    @Test func `a target that our own proxy would not read is too long here as well`() {
        let client = HTTPConversation()
        client.send(nginx("/" + String(repeating: "a", count: 8_200)))
        #expect(client.answer().contains("x-gatehouse-status: 414\r\n"))
    }

    @Test(arguments: ["/", "/nginx/", "/nginxx", "/forward/a", "/envoy", "/envoyx", "/NGINX", "/x/../nginx", "http://a/nginx", "*"])
    func `nothing is asked at another place`(target: String) {
        let client = HTTPConversation()
        client.send("OPTIONS \(target) HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(client.answer().hasPrefix("HTTP/1.1 404 Not Found\r\n"))
        #expect(client.judge.questions.isEmpty)
    }
}

@Suite struct `What a proxy is answered over HTTP` {
    @Test func `an allow names every header that the policy owns`() {
        let client = HTTPConversation()
        client.send(nginx())
        #expect(client.answer() == """
            HTTP/1.1 200 OK\r
            content-length: 0\r
            x-user-email: \r
            x-user-id: usr_1\r
            authorization: \r
            x-ratelimit-limit: 100\r
            x-gatehouse-reason: allowed\r
            x-gatehouse-subject: usr_1\r
            \r

            """)
    }

    @Test func `Envoy is told what to take out`() {
        let client = HTTPConversation()
        client.send("GET /envoy/a HTTP/1.1\r\nHost: a\r\nX-Original-Address: ::1\r\n\r\n")
        #expect(client.answer() == """
            HTTP/1.1 200 OK\r
            content-length: 0\r
            x-user-id: usr_1\r
            x-envoy-auth-headers-to-remove: x-user-email, authorization\r
            x-ratelimit-limit: 100\r
            x-gatehouse-reason: allowed\r
            x-gatehouse-subject: usr_1\r
            \r

            """)
    }

    @Test func `a query to be replaced is told, also where nothing is left of it`() {
        let client = HTTPConversation()
        for (query, line) in [("a=b", "x-gatehouse-query: a=b\r\n"), ("", "x-gatehouse-query: \r\n")] {
            client.judge.verdict = { allow(query: query) }
            client.send(forward())
            #expect(client.answer().contains(line))
        }
    }

    @Test func `of several operations on a name the last counts, and the request's goes before the response's`() {
        let client = HTTPConversation()
        client.judge.verdict = { allow(request: [("x-a", "1"), ("x-a", "2")], response: [("x-a", "3"), ("x-user-email", "4")]) }
        client.send(forward())
        let answer = client.answer()
        #expect(answer.contains("x-a: 2\r\n"))
        #expect(!answer.contains("x-a: 1") && !answer.contains("x-a: 3") && !answer.contains("x-user-email: 4"))
    }

    @Test func `a denial is passed on as it is`() {
        let client = HTTPConversation()
        client.judge.verdict = { deny(429, response: [("retry-after", "7")]) }
        for question in [forward(), "GET /envoy/a HTTP/1.1\r\nHost: a\r\nX-Original-Address: ::1\r\n\r\n"] {
            client.send(question)
            #expect(client.answer() == """
                HTTP/1.1 429 Too Many Requests\r
                content-length: 13\r
                content-type: application/json\r
                retry-after: 7\r
                \r
                {"error":"x"}
                """)
        }
    }

    @Test func `a denial of a HEAD has the length of a body, and none`() {
        let client = HTTPConversation()
        client.judge.verdict = { deny(403) }
        client.send("HEAD /envoy/a HTTP/1.1\r\nHost: a\r\nX-Original-Address: ::1\r\n\r\n")
        let answer = client.answer()
        #expect(answer.contains("content-length: 13\r\n"))
        #expect(answer.hasSuffix("\r\n\r\n"))
    }

    @Test(arguments: [(401, 401), (403, 403), (429, 403), (503, 403), (302, 403)] as [(UInt16, Int)])
    func `nginx is told a denial in headers, of a status that it lets through`(status: UInt16, told: Int) {
        let client = HTTPConversation()
        client.judge.verdict = { deny(status, response: [("retry-after", "7")]) }
        client.send(nginx())
        let answer = client.answer()
        #expect(answer.hasPrefix("HTTP/1.1 \(told) "))
        #expect(answer.contains("\r\ncontent-length: 0\r\n"))
        #expect(answer.contains("\r\nx-gatehouse-status: \(status)\r\nx-gatehouse-body: {\"error\":\"x\"}\r\n"))
        #expect(answer.contains("\r\nretry-after: 7\r\n"))
        #expect(answer.hasSuffix("\r\nx-gatehouse-reason: limit-exceeded\r\n\r\n"))
    }

    @Test func `a body goes into a header without its control bytes, and only up to a size`() {
        let client = HTTPConversation()
        client.judge.verdict = { deny(403, body: "{\r\n\t\"a\": \"\u{e4}\"\u{7F}}") }
        client.send(nginx())
        #expect(client.answer().contains("x-gatehouse-body: {   \"a\": \"\u{e4}\" }\r\n"))
        client.judge.verdict = { deny(403, body: String(repeating: "a", count: HTTPAnswer.bodyBytesInHeader + 1)) }
        client.send(nginx())
        #expect(!client.answer().contains("x-gatehouse-body"))
    }
}

@Suite struct `An HTTP client's connection` {
    @Test func `stays`() {
        let client = HTTPConversation()
        #expect(!client.session.isGreeted)
        for _ in 0..<3 {
            client.send(nginx())
            #expect(client.answer().hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(client.session.isGreeted && !client.session.isOver && client.input.isEmpty)
        }
    }

    @Test(arguments: [nginx("/", "Connection: close"), nginx().replacing("HTTP/1.1", with: "HTTP/1.0")])
    func `closes where the client wants it`(question: String) {
        let client = HTTPConversation()
        client.send(question + nginx())
        #expect(client.judge.questions.count == 1)
        #expect(client.answer().hasSuffix("\r\nconnection: close\r\n\r\n"))
        #expect(client.session.isOver && client.session.ending == nil && client.input.isEmpty)
    }

    @Test func `takes questions byte by byte`() {
        let client = HTTPConversation()
        for byte in Array((nginx("/1") + nginx("/2")).utf8) { client.send([byte]) }
        #expect(client.judge.questions.map(\.path) == ["/1", "/2"])
    }

    @Test(arguments: [[0, 0, 0], [2, 1, 0], [1, 1, 0], [2, 0, 0]])
    func `gets answers in the order of its questions`(order: [Int]) {
        let client = HTTPConversation()
        client.judge.answersAtOnce = false
        for number in 1...3 {
            client.judge.verdict = { allow(id: "usr_\(number)") }
            client.send(nginx())
        }
        #expect(client.answer().isEmpty)
        for index in order { client.judge.answer(index) }
        let users = client.answer().split(separator: "\r\n").filter { $0.hasPrefix("x-user-id") }
        #expect(users == ["x-user-id: usr_1", "x-user-id: usr_2", "x-user-id: usr_3"])
        #expect(client.lateOutputs == 3)
    }

    @Test func `has a limit on questions without an answer`() {
        let client = HTTPConversation(maximumInFlight: 2)
        client.judge.answersAtOnce = false
        client.send(nginx() + nginx() + nginx())
        #expect(client.judge.questions.count == 2)
        #expect(client.session.ending != nil && !client.session.isOver)
        client.judge.answer()
        client.judge.answer()
        let answer = client.answer()
        #expect(answer.split(separator: "HTTP/1.1 ").map { $0.prefix(3) } == ["200", "200", "503"])
        #expect(client.session.isOver)
    }

    @Test func `has content dropped, up to a size`() {
        let client = HTTPConversation()
        client.send(nginx("/1", "Content-Length: 5") + "hel")
        #expect(client.answer().hasPrefix("HTTP/1.1 200"))
        client.send("lo" + nginx("/2", "Content-Length: 0") + nginx("/3"))
        #expect(client.judge.questions.map(\.path) == ["/1", "/2", "/3"])
        for field in ["Content-Length: 65537", "Transfer-Encoding: chunked"] {
            let client = HTTPConversation()
            client.send(nginx("/", field))
            #expect(client.answer().hasPrefix("HTTP/1.1 413 "))
            #expect(client.session.isOver && client.judge.questions.isEmpty)
        }
    }

    @Test(arguments: [
        "GET\r\n\r\n", "GET /nginx\r\n\r\n", "GET /nginx HTTP/1.1\r\n\r\n", "GET /nginx HTTP/2.0\r\nHost: a\r\n\r\n", "GET  /nginx HTTP/1.1\r\n\r\n",
        "GET /nginx HTTP/1.1\nHost: a\n\n", "\r\nGET /nginx HTTP/1.1\r\nHost: a\r\n\r\n", "GET /nginx HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /nginx HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "GET /nginx HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET /" + String(repeating: "a", count: 9_000),
        "GET /nginx HTTP/1.1\r\nHost: a\r\nX: " + String(repeating: "a", count: 60_000), "A\u{0}",
        "GET /nginx HTTP/1.1\r\nHost: a\r\n" + String(repeating: "X: y\r\n", count: 200) + "\r\n",
    ])
    func `ends with one answer and one reason where it can't be read`(bytes: String) {
        let client = HTTPConversation()
        client.send(bytes + (bytes.contains("\n") ? "" : "\r\n\r\n"))
        let answer = client.answer()
        #expect(answer.hasPrefix("HTTP/1.1 4") || answer.hasPrefix("HTTP/1.1 505 "))
        #expect(answer.contains("\r\nconnection: close\r\n"))
        #expect(client.session.isOver && client.session.ending != nil && client.input.isEmpty)
        client.send(nginx())
        #expect(client.answer().isEmpty && client.judge.questions.isEmpty)
    }

    @Test func `is over at once in a drain where nothing is in flight, else behind the last answer`() {
        let idle = HTTPConversation()
        idle.session.goAway()
        #expect(idle.session.isOver)
        let busy = HTTPConversation()
        busy.judge.answersAtOnce = false
        busy.send(nginx() + nginx())
        busy.session.goAway()
        #expect(!busy.session.isOver)
        busy.judge.answer(1)
        busy.judge.answer(0)
        #expect(busy.session.isOver)
        #expect(busy.answer().hasSuffix("connection: close\r\n\r\n"))
    }

    @Test func `is told when it is too slow`() {
        let client = HTTPConversation()
        client.send("GET /nginx HT")
        client.session.end(late: .message(milliseconds: 5_000))
        #expect(client.answer().hasPrefix("HTTP/1.1 408 "))
        #expect(client.session.isOver && client.session.ending == "408: The request was not complete within 5000 ms.")
    }
}

@Suite struct `Mutated HTTP questions` {
    @Test func `never trap, and are judged only where they are whole`() {
        var random = SplitMix64(state: 0x6469_616C)
        let questions = [nginx("/a/%62?x=%2F", "Authorization: Bearer t"), forward(), nginx("/1", "Content-Length: 5") + "hello" + nginx("/2")]
        for round in 0..<6_000 {
            let client = HTTPConversation()
            client.judge.answersAtOnce = round % 2 == 0
            let bytes = mutation(of: Array(questions[round % questions.count].utf8), &random)
            let cut = Int.random(in: 0...bytes.count, using: &random)
            client.send(Array(bytes[..<cut]))
            client.send(Array(bytes[cut...]))
            for question in client.judge.questions {
                #expect(question.path == "*" || question.path.hasPrefix("/"))
                #expect(!question.path.contains("//") && !question.method.isEmpty && !question.authority.isEmpty)
            }
            if client.session.ending != nil { #expect(client.input.isEmpty) }
        }
    }
}
