import EventLoop
import Synchronization

/// The certificates of one listener, as its files hold them.
///
/// Connections keep those that they were made with; a file that can't be used leaves the ones before in force.
public final class ServerCertificates: Sendable {
    /// What a look at the files came to.
    public enum Look: Equatable {
        case unchanged
        case read
        case refused(TLSFailure)
    }

    /// Of whom these are, for messages: `https://0.0.0.0:443`.
    public let listener: String
    private let settings: TLSServerSettings
    private let tickets: TicketKeys
    private let state: Mutex<State>

    private struct State {
        var context: TLSServerContext
        /// Of the files that the context was made of, or that were refused.
        var known: [FileStamp?]
        /// Of the last look.
        var seen: [FileStamp?]
    }

    /// - Parameter former: those of the same listener before, whose clients' sessions go on where they are still to be believed.
    public init(_ settings: TLSServerSettings, of listener: String, replacing former: ServerCertificates? = nil) throws(TLSFailure) {
        self.settings = settings
        self.listener = listener
        tickets = former?.tickets ?? TicketKeys(nowMilliseconds: { Clock.monotonicNanoseconds() / 1_000_000 })
        // The stamps from before the reading: what is written meanwhile is then seen by the next look.
        let stamps = Self.stamps(settings)
        let context = try TLSServerContext(settings, tickets: tickets)
        state = Mutex(State(context: context, known: stamps, seen: stamps))
    }

    /// What new connections are made with.
    public var current: TLSServerContext { state.withLock { $0.context } }

    /// Reads the files again if they have changed, and not since the last look: a certificate is written before its key, or
    /// behind it. Blocks.
    ///
    /// - Parameter isForced: reads them whatever they look like.
    public func look(isForced: Bool = false) -> Look {
        let stamps = Self.stamps(settings)
        let isDue = state.withLock { state in
            let isSettled = stamps == state.seen
            state.seen = stamps
            guard isForced || stamps != state.known && isSettled else { return false }
            state.known = stamps
            return true
        }
        guard isDue else { return .unchanged }
        do throws(TLSFailure) {
            let context = try TLSServerContext(settings, tickets: tickets)
            state.withLock { $0.context = context }
            return .read
        } catch {
            return .refused(error)
        }
    }

    private static func stamps(_ settings: TLSServerSettings) -> [FileStamp?] {
        var files = settings.certificates.flatMap { [$0.certificate, $0.key] }
        if let authorities = settings.clientCertificates?.authoritiesFile { files.append(authorities) }
        return files.map { FileStamp(path: $0) }
    }
}
