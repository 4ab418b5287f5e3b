import Bytes
import Policy
import PolicyProtocol

/// Who decides: the daemon's decision point, as the dialects see it.
protocol Judge: AnyObject {
    /// Judges one request. The receiver gets exactly one verdict: before this returns, or later on the same loop.
    ///
    /// - Parameter bytes: where the ranges of `request` lie; lent for the call alone.
    func judge(
        _ request: consuming RequestParts, _ bytes: Span<UInt8>, nowUnixMilliseconds: Int64, receiver: any VerdictReceiver, ticket: UInt64)

    /// Told of each request that is denied without being judged, since it can't be read in only one way.
    func noteRefused()

    /// Headers that a verdict may set on the request to the upstream, in lower case: an allowing answer names each of them, empty
    /// where it has no value.
    var ownedHeaders: [String] { get }

    /// Headers that the policy wants to see, in lower case.
    var wantedHeaders: [String] { get }
}

protocol VerdictReceiver: AnyObject {
    /// - Parameters:
    ///   - payload: that of a VERDICT frame, which ``VerdictMessage/parse(_:)`` has read; lent for the call alone.
    ///   - ticket: that of the request it is the verdict on.
    func verdict(_ payload: Span<UInt8>, _ message: VerdictMessage, ticket: UInt64)

    /// Brings a verdict that may be told in words that were found before.
    ///
    /// - Returns: false where there are none: then it comes by ``verdict(_:_:ticket:)``.
    func allowed(_ allow: RepeatedAllow, ticket: UInt64) -> Bool
}

extension VerdictReceiver {
    func allowed(_ allow: RepeatedAllow, ticket: UInt64) -> Bool { false }
}

/// What a client took too long for.
enum LateInput: Sendable, Equatable {
    case greeting(milliseconds: Int64)
    case message(milliseconds: Int64)
}

/// One client's side of a dialect: bytes in, bytes out, and no socket, clock or policy.
protocol DialectSession: AnyObject {
    /// What the client is to be sent.
    var output: ByteBuffer { get }
    /// Called where an answer was written outside of ``receive(_:nowUnixMilliseconds:)``.
    var hasLateOutput: () -> Void { get set }
    /// What the client calls itself, for the log.
    var clientName: String { get }
    /// What went wrong, for the log; nil while the session goes on, and where it ended in good order.
    var ending: String? { get }
    /// Whether the client has said so much that no deadline for its first words is needed any more.
    var isGreeted: Bool { get }
    /// Whether the connection is to be closed once the output has been sent.
    var isOver: Bool { get }
    /// When the oldest message began that isn't whole yet, though all of it that is there has been taken off the input; nil where
    /// there is none.
    var awaitedSinceUnixMilliseconds: Int64? { get }
    /// Whether the client has to begin anew, since what it was told at first holds no longer.
    var isOutdated: Bool { get }

    /// Takes every whole message off `input`, and answers what can be answered at once.
    func receive(_ input: ByteBuffer, nowUnixMilliseconds: Int64)

    /// Ends the session once what is in flight has been answered.
    func goAway()

    /// Ends the session because the client was too slow.
    func end(late input: LateInput)
}

extension DialectSession {
    var awaitedSinceUnixMilliseconds: Int64? { nil }
    var isOutdated: Bool { false }
}
