import PolicyProtocol
import Settings

extension ProxyConfiguration {
    /// Reads the proxy's configuration file and its environment, which overrides the file.
    ///
    /// - Parameters:
    ///   - text: what the file holds; nil where there is none.
    ///   - file: what messages call it.
    ///   - environment: the process's own.
    /// - Throws: all mistakes.
    public static func read(
        text: String?, file: String = "proxy.yaml", environment: [String: String]
    ) throws(InvalidConfiguration) -> ProxyConfiguration {
        try read(SettingsReader(text: text, file: file, environment: environment))
    }

    static func read(_ settings: SettingsReader) throws(InvalidConfiguration) -> ProxyConfiguration {
        let root = settings.root
        var configuration = ProxyConfiguration(policySockets: [PolicySocket.defaultPath(environment: settings.environment)])
        configuration.readServing(root)
        configuration.readPolicy(root)
        configuration.readObserving(root)
        configuration.trustedProxies.read(root)
        root.read("send_forwarded", .boolean, into: &configuration.sendsForwarded)
        configuration.routes = Route.read(root, upstreams: Upstream.read(root)) ?? configuration.routes
        configuration.limits.read(root.section("limits"))
        configuration.http2.read(root.section("http2"))
        if !configuration.http2.isEnabled { configuration.offerNoHTTP2() }
        configuration.timeouts.read(root.section("timeouts"))
        try settings.finish()
        return configuration
    }

    private mutating func readServing(_ root: Section) {
        root.read("name", .line, into: &name)
        root.read("host", .host, overriddenBy: "HOST", into: &host)
        root.read("port", .integer(0...65_535), overriddenBy: "PORT", into: &port)
        if let listeners = ListenerSettings.read(root) {
            self.listeners = listeners
            let others = (root.has("host") || root.has("port") ? ["host and port"] : []) + ["HOST", "PORT"].filter { root.hasVariable($0) }
            if !others.isEmpty { root.report("listeners", "stands beside \(others.joined(separator: ", "))", accepted: "one or the other") }
        }
        root.read("workers", .integer(1...1024), overriddenBy: "WORKERS", mayBeNull: true, into: &workers)
        root.read("upstream_idle_connections", .integer(0...100_000), into: &upstreamIdleConnections)
    }

    private mutating func readPolicy(_ root: Section) {
        root.readList("policy_sockets", .socketPath, overriddenBy: "POLICY_SOCKET", mayBeNull: true, into: &policySockets)
        root.read("policy_deadline_milliseconds", .integer(1...60_000), into: &policyDeadlineMilliseconds)
    }
}

extension ProxyConfiguration.Limits {
    fileprivate mutating func read(_ limits: Section) {
        limits.read("request_line_bytes", .integer(64...1_048_576), into: &requestLineBytes)
        limits.read("header_bytes", .integer(64...1_048_576), into: &headerBytes)
        limits.read("header_count", .integer(1...10_000), into: &headerCount)
        limits.read("body_bytes", .integer(0...1_000_000_000_000_000), into: &bodyBytes)
        limits.read("connections", .integer(1...1_000_000), into: &connections)
        limits.read("requests", .integer(1...100_000_000), into: &requests)
    }
}

extension ProxyConfiguration {
    fileprivate mutating func offerNoHTTP2() {
        for index in listeners.indices { listeners[index].tls?.protocols.removeAll { $0 == "h2" } }
    }
}

extension ProxyConfiguration.HTTP2 {
    fileprivate mutating func read(_ http2: Section) {
        http2.read("enabled", .boolean, into: &isEnabled)
        http2.read("concurrent_streams", .integer(1...1000), into: &concurrentStreams)
        http2.read("stream_window_bytes", .integer(65_535...16_777_216), into: &streamWindowBytes)
    }
}

extension ProxyConfiguration.Timeouts {
    fileprivate mutating func read(_ timeouts: Section) {
        // From a millisecond, since a wait of none could not even be begun, to a day.
        let waits: ClosedRange<Int64> = 1...86_400_000
        timeouts.read("head_milliseconds", .integer(waits), into: &head)
        timeouts.read("body_milliseconds", .integer(waits), into: &body)
        timeouts.read("idle_milliseconds", .integer(waits), into: &idle)
        timeouts.read("upstream_connect_milliseconds", .integer(waits), into: &upstreamConnect)
        timeouts.read("upstream_response_milliseconds", .integer(waits), into: &upstreamResponse)
        timeouts.read("upstream_total_milliseconds", .integer(waits), into: &upstreamTotal)
        timeouts.read("upstream_idle_milliseconds", .integer(waits), into: &upstreamIdle)
        timeouts.read("websocket_idle_milliseconds", .integer(waits), into: &webSocketIdle)
        timeouts.read("drain_milliseconds", .integer(0...waits.upperBound), into: &drain)
        timeouts.read("drain_idle_milliseconds", .integer(0...waits.upperBound), into: &drainIdle)
        timeouts.read("linger_milliseconds", .integer(0...waits.upperBound), into: &linger)
    }
}

extension Form where Value == String {
    /// What the proxy may listen on.
    static var host: Form {
        Form(accepted: "a host name, or an IPv4 or IPv6 address without brackets") { isHost(Substring($0)) ? $0 : nil }
    }

    /// Held to the alphabet of names and addresses only: the resolver says whether it is one.
    static func isHost(_ text: Substring) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"),
                UInt8(ascii: ":"), UInt8(ascii: "%"):
                true
            default: false
            }
        }
    }
}
