import EventLoop
import Logging
import Settings
import Synchronization
import TLS

/// How the endpoints of an upstream that are spoken to by TLS show that they are the right ones, and how we do.
public struct UpstreamTLS: Sendable, Equatable {
    /// Verifies by the system's authorities, and shows no certificate, unless told otherwise.
    public var client = TLSClientSettings()
    /// The name that every endpoint's certificate is for, which is also told to it; nil where it is that of its URL.
    public var serverName: String?

    public init() { client.protocols = ["http/1.1"] }
}

extension UpstreamTLS {
    mutating func read(_ tls: Section) {
        tls.read("authorities", .absolutePath, into: &client.authoritiesFile)
        tls.read("certificate", .absolutePath, into: &client.certificateFile)
        tls.read("key", .absolutePath, into: &client.keyFile)
        tls.read("server_name", .line, into: &serverName)
        tls.read("verify", .boolean, into: &client.verifiesServer)
        if (client.certificateFile == nil) != (client.keyFile == nil) {
            tls.report("has one of certificate and key", accepted: "both, or neither")
        }
        if !client.verifiesServer, client.authoritiesFile != nil {
            tls.report("authorities", "stand beside verify: false, which asks none", accepted: "one of the two")
        }
    }
}

/// Begins TLS with one endpoint.
final class EndpointSecurity: Sendable {
    /// The least time between two lines of the log that say the same.
    private static let quietMilliseconds: Int64 = 10_000

    private let name: String
    private let context: TLSContext
    private let isHTTP2: Bool
    private let sessions = TLSSessions()
    private let title: String
    private let logger: Logger
    private let lastFailure = Mutex<(text: String, milliseconds: Int64)?>(nil)

    /// - Parameters:
    ///   - name: what the endpoint's certificate must be for.
    ///   - endpoint: its URL is its title in the log.
    init(_ name: String, _ context: TLSContext, _ endpoint: Endpoint, logger: Logger) {
        self.name = name
        self.context = context
        title = endpoint.url
        isHTTP2 = endpoint.isHTTP2
        self.logger = logger
    }

    /// - Returns: nil where it came to nothing, which the log says; the socket is closed then.
    func begin(on socket: Socket, _ waiter: Waiter, timeoutMilliseconds: Int64, taking turns: HandshakeTurns?) async -> TLSStream? {
        do throws(TLSFailure) {
            return try await TLSStream.connect(
                over: socket, to: name, context, on: waiter, timeoutMilliseconds: timeoutMilliseconds, taking: turns,
                speaking: isHTTP2 ? "h2" : nil, resuming: sessions)
        } catch {
            note("\(error)", now: waiter.loop.nowMilliseconds)
            return nil
        }
    }

    private func note(_ text: String, now: Int64) {
        let isNews = lastFailure.withLock { last in
            if let last, last.text == text, now - last.milliseconds < Self.quietMilliseconds { return false }
            last = (text, now)
            return true
        }
        if isNews { logger.warning("no TLS with \(title): \(text)") }
    }
}
