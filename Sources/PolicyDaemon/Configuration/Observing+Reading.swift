import EventLoop
import Policy
import Settings
import Telemetry

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

extension Form where Value == AdminAddress {
    static var adminAddress: Form {
        Form(accepted: Form<SocketAddress>.acceptedListening + ", or unix:/path") { text in
            guard text.hasPrefix("unix:") else { return SocketAddress(listening: text).map(AdminAddress.tcp) }
            let path = String(text.dropFirst(5))
            return path.hasPrefix("/") && path.utf8.count <= 107 ? .unix(path: path, mode: 0o600) : nil
        }
    }
}

extension Form where Value == SocketAddress {
    static var acceptedListening: String { "a loopback address and port as in 127.0.0.1:9464 or [::1]:9464, or any:ADDRESS:PORT for another one" }

    static var listening: Form { Form(accepted: acceptedListening) { SocketAddress(listening: $0) } }
}

extension SocketAddress {
    /// Where this machine alone gets to it, unless `any:` says that others may.
    fileprivate init?(listening text: String) {
        let isOpen = text.hasPrefix("any:")
        let address = isOpen ? String(text.dropFirst(4)) : text
        guard let colon = address.lastIndex(of: ":"), let port = UInt16(address[address.index(after: colon)...]) else { return nil }
        var host = String(address[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        guard isOpen || host == "::1" || host.hasPrefix("127."), ClientAddress(Array(host.utf8).span) != nil,
            let place = try? SocketAddress.resolve(host: host, port: Int(port)).first
        else { return nil }
        self = place
    }
}

extension DaemonConfiguration {
    /// Reads where the daemon listens besides its socket, and what may be spoken where.
    mutating func readListening(_ root: Section) {
        root.readList("policy_socket_dialects", .choice, mayBeNull: true, into: &dialects)
        for entry in root.entries("listen", accepted: "a map of addresses to options") ?? [] {
            guard let address = entry.key(as: .listening), let options = entry.options(accepted: "a map: dialects, or {} for all") else { continue }
            var dialects = Dialect.allCases
            options.readList("dialects", .choice, mayBeNull: true, into: &dialects)
            listening.append(ListeningPlace(address: address, dialects: dialects))
        }
    }
}
