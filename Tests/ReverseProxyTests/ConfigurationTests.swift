import Bytes
import Foundation
import Settings
import Testing

import TLS

@testable import ReverseProxy

private func read(_ text: String? = nil, _ environment: [String: String] = [:]) throws -> ProxyConfiguration {
    try ProxyConfiguration.read(text: text, environment: environment)
}

private func network(_ text: String) throws -> IPNetwork {
    let bytes = Array(text.utf8)
    let network = IPNetwork(bytes.span)
    return try #require(network)
}

@Suite("Configuration of the proxy")
struct ConfigurationTests {
    @Test func `with nothing configured everything is built in`() throws {
        let configuration = try read()
        #expect(configuration == ProxyConfiguration())
        #expect(configuration.name == "APIForge API Gateway")
        #expect(configuration.host == "127.0.0.1")
        #expect(configuration.port == 3000)
        #expect(configuration.logFormat == .gateway)
        #expect(configuration.policySockets == ["/run/gatehouse/policy.sock"])
        #expect(configuration.routes.map(\.prefix) == ["/api/projects", "/api/users", "/api/analytics"])
        #expect(
            configuration.routes.map(\.upstream.name)
                == ["http://localhost:3001", "http://localhost:3002", "http://localhost:3003"])
    }

    @Test func `an empty file is a file without options`() throws {
        #expect(try read("") == ProxyConfiguration())
        #expect(try read("# nothing\n") == ProxyConfiguration())
        #expect(try read("limits:\n  # nothing\n") == ProxyConfiguration())
    }

    @Test func `the example in deploy is the built-in configuration`() throws {
        #expect(try read(deployed("proxy.yaml")) == read())
    }

    @Test func `the example in deploy has every option`() throws {
        let settings = try SettingsReader(text: deployed("proxy.yaml"), file: "", environment: [:])
        _ = try ProxyConfiguration.read(settings)
        #expect(settings.absentOptions == [])
    }

    @Test func `the route with options in the example is one that is accepted`() throws {
        let line = try #require(deployed("proxy.yaml").split(separator: "\n").first { $0.contains("allow_encoded_slash") })
        let route = try #require(read("routes:\n \(line.drop { $0 != "/" })").routes.first)
        #expect(route.prefix == "/files")
        #expect(route.upstream == Upstream(Endpoint(url: "http://localhost:3004", host: "localhost", port: 3004)))
        #expect(route.allowsEncodedSlash && !route.allowsWebSocket)
    }

    @Test func `a route takes WebSockets where it says so`() throws {
        let routes = try read("routes: { /a: { upstream: 'http://a', websocket: true }, /b: 'http://b' }").routes
        #expect(routes.map(\.allowsWebSocket) == [true, false])
    }

    @Test func `the file sets every option`() throws {
        let configuration = try read(
            """
            name: Example
            host: "::1"
            port: 1
            workers: 2
            log_format: json
            access_log: /tmp/access.log
            log_level: error
            admin: { listen: "unix:/tmp/admin.sock" }
            request_id: any
            trusted_proxies: [10.0.0.0/8, "::1", unix]
            trusted_header: forwarded
            proxy_protocol: true
            send_forwarded: true
            trace_context: start
            policy_sockets: [/tmp/a.sock, /tmp/b.sock]
            policy_deadline_milliseconds: 3
            routes: { /a: "http://a" }
            http2: { enabled: false, concurrent_streams: 18, stream_window_bytes: 65535 }
            limits: { request_line_bytes: 104, header_bytes: 105, header_count: 6, body_bytes: 7, connections: 8, requests: 21 }
            timeouts:
              head_milliseconds: 9
              body_milliseconds: 10
              idle_milliseconds: 11
              upstream_connect_milliseconds: 12
              upstream_response_milliseconds: 13
              upstream_idle_milliseconds: 14
              upstream_total_milliseconds: 18
              websocket_idle_milliseconds: 19
              drain_milliseconds: 15
              linger_milliseconds: 16
              drain_idle_milliseconds: 17
            upstream_idle_connections: 17
            """)
        var expected = ProxyConfiguration(policySockets: ["/tmp/a.sock", "/tmp/b.sock"])
        expected.name = "Example"
        (expected.host, expected.port, expected.workers) = ("::1", 1, 2)
        (expected.logFormat, expected.logLevel) = (.json, .error)
        (expected.accessLogPath, expected.requestIDs, expected.traceContext) = ("/tmp/access.log", .any, .start)
        expected.trustedProxies.peers = [.network(try network("10.0.0.0/8")), .network(try network("::1/128")), .unix]
        (expected.trustedProxies.header, expected.trustedProxies.sendProxyHeader) = (.forwarded, true)
        expected.sendsForwarded = true
        expected.admin = .unix(path: "/tmp/admin.sock", mode: 0o600)
        expected.policyDeadlineMilliseconds = 3
        expected.routes = [Route(prefix: "/a", upstream: Upstream(Endpoint(url: "http://a", host: "a", port: 80)))]
        (expected.http2.isEnabled, expected.http2.concurrentStreams, expected.http2.streamWindowBytes) = (false, 18, 65_535)
        expected.limits.requestLineBytes = 104
        expected.limits.headerBytes = 105
        expected.limits.headerCount = 6
        expected.limits.bodyBytes = 7
        expected.limits.connections = 8
        expected.limits.requests = 21
        (expected.timeouts.head, expected.timeouts.body, expected.timeouts.idle) = (9, 10, 11)
        (expected.timeouts.upstreamConnect, expected.timeouts.upstreamResponse, expected.timeouts.upstreamIdle) = (12, 13, 14)
        expected.timeouts.upstreamTotal = 18
        expected.timeouts.webSocketIdle = 19
        (expected.timeouts.drain, expected.timeouts.linger, expected.timeouts.drainIdle) = (15, 16, 17)
        expected.upstreamIdleConnections = 17
        #expect(configuration == expected)
    }

    @Test func `each address has its own options`() throws {
        let configuration = try read(
            """
            listeners:
              127.0.0.1:80: { redirect_to_https: 443 }
              "[::]:443":
                hsts: "max-age=1;includeSubDomains"
                tls:
                  certificates: { /b.pem: /b.key, /a.pem: /a.key }
                  minimum_version: 1.3
                  client_certificates: { authorities: /ca.pem, required: false }
              localhost:8080: {}
            """)
        var (first, second) = (ListenerSettings(host: "127.0.0.1", port: 80), ListenerSettings(host: "::", port: 443))
        first.redirectPort = 443
        second.strictTransportSecurity = "max-age=1; includeSubDomains"
        var tls = TLSServerSettings(certificates: [
            CertificateFiles(certificate: "/b.pem", key: "/b.key"), CertificateFiles(certificate: "/a.pem", key: "/a.key"),
        ])
        tls.protocols = ["h2", "http/1.1"]
        tls.minimumVersion = .tls13
        tls.clientCertificates = .init(authoritiesFile: "/ca.pem", isRequired: false)
        second.tls = tls
        #expect(configuration.listeners == [first, second, ListenerSettings(host: "localhost", port: 8080)])
        #expect(configuration.listeners.map(\.url) == ["http://127.0.0.1:80", "https://[::]:443", "http://localhost:8080"])
    }

    @Test func `the listeners in the example are accepted`() throws {
        let lines = try deployed("proxy.yaml").split(separator: "\n").drop { !$0.contains("redirect_to_https") }
        let example = lines.prefix { $0.hasPrefix("#   ") }.map { $0.dropFirst(2) }.joined(separator: "\n")
        #expect(try read("listeners:\n\(example)\n").listeners.map(\.url) == ["http://0.0.0.0:80", "https://[::]:443"])
    }

    @Test func `the environment overrides the file`() throws {
        let configuration = try read(
            "host: 127.0.0.1\nport: 1\nworkers: 1\nlog_format: json\npolicy_sockets: [/tmp/a.sock]\n",
            ["HOST": "0.0.0.0", "PORT": "0", "WORKERS": "7", "LOG_FORMAT": "off", "POLICY_SOCKET": "/tmp/b.sock, /tmp/c.sock"])
        #expect(configuration.host == "0.0.0.0")
        #expect(configuration.port == 0)
        #expect(configuration.workers == 7)
        #expect(configuration.logFormat == .off)
        #expect(configuration.policySockets == ["/tmp/b.sock", "/tmp/c.sock"])
    }

    @Test func `the socket is looked for in the runtime directory of the user who has one`() throws {
        #expect(try read(nil, ["XDG_RUNTIME_DIR": "/run/user/7"]).policySockets == ["/run/user/7/gatehouse/policy.sock"])
    }

    @Test func `a fourth service is one line`() throws {
        let text = try deployed("proxy.yaml")
            .replacing("  /api/analytics:", with: "  /api/orders: http://localhost:3004\n  /api/analytics:")
        #expect(try read(text).routes.map(\.prefix) == ["/api/projects", "/api/users", "/api/orders", "/api/analytics"])
    }

    @Test func `there may be no routes, or one for everything`() throws {
        #expect(try read("routes: {}").routes == [])
        #expect(try read("routes: { /: 'http://a' }").routes.map(\.prefix) == ["/"])
    }

    @Test(arguments: ["/a", "/a/b-c_d.e~f", "/a%20b", "/a;b=1", "/@a:b", "/%25"])
    func `a prefix in normal form is accepted as it is`(prefix: String) throws {
        #expect(try read("routes:\n  \(prefix): http://a").routes.map(\.prefix) == [prefix])
    }

    @Test(arguments: [
        ("http://a", "a", 80, "a"), ("http://a:81", "a", 81, "a:81"), ("http://127.0.0.1:1", "127.0.0.1", 1, "127.0.0.1:1"),
        ("http://a_b.c-d", "a_b.c-d", 80, "a_b.c-d"), ("http://[::1]", "::1", 80, "[::1]"), ("http://[::1]:81", "::1", 81, "[::1]:81"),
        ("http://a:80", "a", 80, "a"), ("h2://a", "a", 443, "a"), ("h2://a:80", "a", 80, "a:80"),
        ("h2c://a", "a", 80, "a"), ("h2c://[::1]:81", "::1", 81, "[::1]:81"),
    ])
    func `an upstream is a host and perhaps a port`(url: String, host: String, port: Int, authority: String) throws {
        let upstream = try #require(read("routes:\n  /a: \(url)").routes.first?.upstream)
        var endpoint = Endpoint(url: url, host: host, port: port)
        endpoint.isHTTP2 = url.hasPrefix("h2")
        endpoint.isSecure = url.hasPrefix("h2:")
        #expect(upstream == Upstream(endpoint))
        #expect(String(decoding: upstream.endpoints[0].authority, as: UTF8.self) == authority)
    }

    @Test func `an upstream may be a Unix socket`() throws {
        let upstream = try #require(read("routes:\n  /a: unix:/run/a.sock").routes.first?.upstream)
        #expect(upstream == Upstream(Endpoint(url: "unix:/run/a.sock", place: .unix(path: "/run/a.sock"))))
        #expect(String(decoding: upstream.endpoints[0].authority, as: UTF8.self) == "localhost")
    }

    @Test func `the example of an upstream with a name has every option and no mistake`() throws {
        let lines = try deployed("proxy.yaml").replacing("\nupstreams: {}\n", with: "\n").split(separator: "\n", omittingEmptySubsequences: false)
        let first = try #require(lines.firstIndex(of: "#upstreams:"))
        let example = lines[first...].prefix { $0.hasPrefix("#") }.map { $0.dropFirst() }
        let text = (lines[..<first] + example + lines[(first + example.count)...]).joined(separator: "\n")
        let settings = SettingsReader(text: text, file: "proxy.yaml", environment: [:])
        let configuration = try ProxyConfiguration.read(settings)
        #expect(settings.absentEntryOptions.filter { $0.hasPrefix("upstreams.") } == [])
        #expect(configuration.routes.map(\.prefix) == ["/api/projects", "/api/users", "/api/analytics"])
    }

    @Test func `an upstream sets every option`() throws {
        let upstream = try #require(read("""
            upstreams:
              orders:
                endpoints: ["http://a"]
                retries: { maximum: 1, statuses: [502, 503], budget_percent: 2, budget_minimum: 3 }
                ejection: { consecutive_failures: 4, count_server_errors: true, first_milliseconds: 5, maximum_milliseconds: 6, maximum_percent: 7 }
                health_check: { path: /h?a=b, interval_milliseconds: 10, timeout_milliseconds: 11, healthy_after: 12, unhealthy_after: 13 }
                slow_start_milliseconds: 14
                circuit_breaker:
                  consecutive_failures: 15
                  error_percent: 16
                  minimum_requests: 17
                  window_milliseconds: 18
                  count_server_errors: true
                  open_milliseconds: 19
                maximum_requests: 20
                queue: { length: 21, timeout_milliseconds: 22 }
                timeouts: { connect_milliseconds: 23, first_byte_milliseconds: 24, idle_milliseconds: 25, total_milliseconds: 26 }
                resolve_milliseconds: 27
                proxy_protocol: v2
            routes: { /a: orders }
            """).routes.first?.upstream)
        var expected = Upstream(name: "orders", endpoints: [Endpoint(url: "http://a", host: "a", port: 80)])
        (expected.retries.maximum, expected.retries.statuses) = (1, [502, 503])
        (expected.retries.budgetPercent, expected.retries.budgetMinimum) = (2, 3)
        var ejection = EjectionRules(consecutiveFailures: 4)
        (ejection.countsServerErrors, ejection.firstMilliseconds, ejection.maximumMilliseconds, ejection.maximumPercent) = (true, 5, 6, 7)
        expected.ejection = ejection
        var check = HealthCheckRules(path: "/h?a=b")
        (check.intervalMilliseconds, check.timeoutMilliseconds, check.healthyAfter, check.unhealthyAfter) = (10, 11, 12, 13)
        expected.healthCheck = check
        expected.slowStartMilliseconds = 14
        var breaker = CircuitBreakerRules()
        (breaker.consecutiveFailures, breaker.errorPercent, breaker.minimumRequests) = (15, 16, 17)
        (breaker.windowMilliseconds, breaker.countsServerErrors, breaker.openMilliseconds) = (18, true, 19)
        expected.circuitBreaker = breaker
        var limit = RequestLimit(maximum: 20)
        (limit.queueLength, limit.queueMilliseconds) = (21, 22)
        expected.limit = limit
        (expected.timeouts.connect, expected.timeouts.firstByte) = (23, 24)
        (expected.timeouts.idle, expected.timeouts.total) = (25, 26)
        expected.resolveMilliseconds = 27
        expected.proxyHeader = .v2
        #expect(upstream == expected)
    }

    @Test func `a route's timeouts go before its upstream's, and those before everybody's`() throws {
        let configuration = try read("""
            upstreams: { orders: { endpoints: ["http://a"], timeouts: { first_byte_milliseconds: 2, idle_milliseconds: 3 } } }
            routes:
              /a: { upstream: orders, timeouts: { idle_milliseconds: 4, total_milliseconds: 5 } }
            timeouts: { upstream_connect_milliseconds: 1, upstream_response_milliseconds: 6, upstream_total_milliseconds: 7 }
            """)
        let waits = WaitLimits(try #require(configuration.routes.first), configuration.timeouts)
        #expect((waits.connect, waits.firstByte, waits.idle, waits.total) == (1, 2, 4, 5))
    }

    @Test(arguments: [
        ("round-robin", Balancing.roundRobin), ("least-requests", .leastRequests), ("power-of-two", .powerOfTwo),
        ("hash subject", .hash(.subject)), ("hash header X-Tenant", .hash(.header(Array("X-Tenant".utf8)))),
    ])
    func `routes share an upstream with a name`(text: String, balancing: Balancing) throws {
        let configuration = try read("""
            upstreams: { orders: { endpoints: ["http://a:1", { url: "http://b", weight: 3 }, "unix:/c"], balance: \(text) } }
            routes: { /a: orders, /b: { upstream: orders }, /c: "http://a:1" }
            """)
        var second = Endpoint(url: "http://b", host: "b", port: 80)
        second.weight = 3
        let first = Endpoint(url: "http://a:1", host: "a", port: 1)
        var orders = Upstream(name: "orders", endpoints: [first, second, Endpoint(url: "unix:/c", place: .unix(path: "/c"))])
        orders.balancing = balancing
        #expect(configuration.routes.map(\.upstream) == [orders, orders, Upstream(first)])
        #expect(configuration.routedUpstreams == [orders, Upstream(first)])
    }

    @Test(arguments: try BadConfiguration.all())
    func `each bad configuration earns its messages`(bad: BadConfiguration) {
        #expect(!bad.messages.isEmpty)
        let error = #expect(throws: InvalidConfiguration.self) {
            try ProxyConfiguration.read(text: bad.text, file: bad.name, environment: bad.environment)
        }
        #expect(error?.mistakes.map(\.description) == bad.messages)
        #expect(error?.description.contains("hidden") == false)
    }
}
