import Settings
import Telemetry

extension ProxyConfiguration {
    /// Reads what those who run the proxy see of it.
    mutating func readObserving(_ root: Section) {
        root.read("log_format", .choice, overriddenBy: "LOG_FORMAT", into: &logFormat)
        root.read("access_log", .absolutePath, into: &accessLogPath)
        root.read("log_level", .choice, into: &logLevel)
        root.section("admin").read("listen", .adminAddress, into: &admin)
        root.read("request_id", .choice, into: &requestIDs)
        root.read("trace_context", .choice, into: &traceContext)
    }
}
