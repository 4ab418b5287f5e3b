import Settings

/// From a millisecond to a day.
private let waits: ClosedRange<Int64> = 1...86_400_000

extension Upstream {
    /// Reads what there is beside the endpoints. A section that stands there at all turns on what it is about.
    mutating func readOptions(_ options: Section) {
        options.read("balance", .balancing, into: &balancing)
        retries.read(options.section("retries"))
        ejection = options.has("ejection") ? EjectionRules(options.section("ejection")) : nil
        healthCheck = options.has("health_check") ? HealthCheckRules(options.section("health_check")) : nil
        options.read("slow_start_milliseconds", .integer(0...waits.upperBound), into: &slowStartMilliseconds)
        circuitBreaker = options.has("circuit_breaker") ? CircuitBreakerRules(options.section("circuit_breaker")) : nil
        readLimit(options)
        tls.read(options.section("tls"))
        if options.has("tls"), !endpoints.isEmpty, !endpoints.contains(where: \.isSecure) {
            options.report("tls", "is for no endpoint", accepted: "it beside an https:// or h2:// endpoint")
        }
        timeouts.read(options.section("timeouts"))
        options.read("resolve_milliseconds", .integer(10...waits.upperBound), into: &resolveMilliseconds)
        options.read("proxy_protocol", .choice, into: &proxyHeader)
        if endpoints.contains(where: \.isHTTP2) { refuseHTTP1Options(options) }
    }

    /// What only a connection of HTTP/1.1 can do.
    private func refuseHTTP1Options(_ options: Section) {
        if proxyHeader != .none {
            options.report("proxy_protocol", "is beside an HTTP/2 endpoint, whose connections are shared by clients", accepted: "it beside other endpoints")
        }
    }

    private mutating func readLimit(_ options: Section) {
        var maximum: Int?
        options.read("maximum_requests", .integer(1...1_000_000), into: &maximum)
        let queue = options.section("queue")
        var rules = RequestLimit(maximum: maximum ?? 1)
        queue.read("length", .integer(0...10_000), into: &rules.queueLength)
        queue.read("timeout_milliseconds", .integer(waits), into: &rules.queueMilliseconds)
        if maximum == nil, rules.queueLength > 0 {
            queue.report("has nothing to wait for", accepted: "a queue beside maximum_requests")
        }
        limit = maximum == nil ? nil : rules
    }
}

extension Retries {
    fileprivate mutating func read(_ section: Section) {
        section.read("maximum", .integer(0...10), into: &maximum)
        section.readList("statuses", .integer(400...599), mayBeNull: true, into: &statuses)
        section.read("budget_percent", .integer(0...100), into: &budgetPercent)
        section.read("budget_minimum", .integer(0...100_000), into: &budgetMinimum)
    }
}

extension EjectionRules {
    fileprivate init(_ section: Section) {
        self.init(consecutiveFailures: 5)
        section.read("consecutive_failures", .integer(1...10_000), into: &consecutiveFailures)
        section.read("count_server_errors", .boolean, into: &countsServerErrors)
        section.read("first_milliseconds", .integer(waits), into: &firstMilliseconds)
        section.read("maximum_milliseconds", .integer(waits), into: &maximumMilliseconds)
        section.read("maximum_percent", .integer(1...100), into: &maximumPercent)
        if maximumMilliseconds < firstMilliseconds {
            section.report("maximum_milliseconds", "is less than first_milliseconds", accepted: "\(firstMilliseconds) or more")
        }
    }
}

extension HealthCheckRules {
    fileprivate init?(_ section: Section) {
        let path = section.require("path", .requestTarget)
        self.init(path: path ?? "/")
        section.read("interval_milliseconds", .integer(10...waits.upperBound), into: &intervalMilliseconds)
        section.read("timeout_milliseconds", .integer(waits), into: &timeoutMilliseconds)
        section.read("healthy_after", .integer(1...1000), into: &healthyAfter)
        section.read("unhealthy_after", .integer(1...1000), into: &unhealthyAfter)
        if path == nil { return nil }
    }
}

extension CircuitBreakerRules {
    fileprivate init?(_ section: Section) {
        self.init()
        section.read("consecutive_failures", .integer(1...1_000_000), into: &consecutiveFailures)
        section.read("error_percent", .integer(1...100), into: &errorPercent)
        section.read("minimum_requests", .integer(1...1_000_000), into: &minimumRequests)
        section.read("window_milliseconds", .integer(10...waits.upperBound), into: &windowMilliseconds)
        section.read("count_server_errors", .boolean, into: &countsServerErrors)
        section.read("open_milliseconds", .integer(waits), into: &openMilliseconds)
        if !section.has("consecutive_failures"), !section.has("error_percent") {
            section.report("never opens", accepted: "consecutive_failures, error_percent or both")
            return nil
        }
    }
}

extension UpstreamTimeouts {
    mutating func read(_ section: Section) {
        section.read("connect_milliseconds", .integer(waits), into: &connect)
        section.read("first_byte_milliseconds", .integer(waits), into: &firstByte)
        section.read("idle_milliseconds", .integer(waits), into: &idle)
        section.read("total_milliseconds", .integer(waits), into: &total)
    }
}

extension Form where Value == String {
    /// What a health check asks for.
    fileprivate static var requestTarget: Form {
        Form(accepted: "a path, perhaps with a query: it begins with / and has no blanks, no # and nothing beyond ASCII") { text in
            text.hasPrefix("/") && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "#") } ? text : nil
        }
    }
}
