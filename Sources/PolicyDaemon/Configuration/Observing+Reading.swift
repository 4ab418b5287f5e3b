import Policy
import Settings
import Telemetry
import TLS

/// What is written of decisions.
public struct DecisionLogSettings: Sendable, Equatable {
    public var mode = DecisionLogMode.off
    /// Nil: standard output.
    public var file: String?

    public init() {}
}

extension DaemonConfiguration {
    private enum LogMode: String, CaseIterable {
        case off, denials, sampled, all
    }

    mutating func readObserving(_ root: Section) {
        let admin = root.section("admin")
        admin.read("listen", .adminAddress, into: &self.admin)

        let log = root.section("decision_log")
        var (mode, oneIn) = (LogMode.off, 100)
        log.read("mode", .choice, into: &mode)
        log.read("sample_one_in", .integer(1...1_000_000_000), into: &oneIn)
        log.read("file", .absolutePath, into: &decisionLog.file)
        decisionLog.mode = switch mode {
        case .off: .off
        case .denials: .denials
        case .sampled: .sampled(oneIn: oneIn)
        case .all: .all
        }
    }
}

extension DaemonConfiguration {
    /// Reads where the daemon listens besides its socket, and what may be spoken where.
    mutating func readListening(_ root: Section) {
        root.readList("policy_socket_dialects", .choice, mayBeNull: true, into: &dialects)
        for entry in root.entries("listen", accepted: "a map of addresses to options") ?? [] {
            guard let address = entry.key(as: .listening), let options = entry.options(accepted: "a map: dialects, tls, or {} for all in the clear")
            else { continue }
            var dialects = Dialect.allCases
            options.readList("dialects", .choice, mayBeNull: true, into: &dialects)
            var tls: TLSServerSettings?
            if options.has("tls") { tls = TLSServerSettings.read(options.section("tls"), protocols: Dialect.protocols(of: dialects)) }
            listening.append(ListeningPlace(address: address, dialects: dialects, tls: tls))
        }
    }
}
