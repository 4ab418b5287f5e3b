import Bytes
import EventLoop
import PolicyProtocol

/// One CHECK on its way, and where its verdict is put. An exchange keeps one and uses it again for its next request; asking
/// again gives up whatever the one before still waited for.
public final class PendingCheck {
    /// What became of the CHECK.
    public enum State: Equatable {
        case idle
        case waiting
        /// ``PendingCheck/payload`` holds the verdict's bytes, ``PendingCheck/verdict`` what they say.
        case answered
        /// Nobody will answer: deny.
        case lost(Loss)
    }

    /// Why nobody will answer.
    public enum Loss: Equatable, Sendable, CustomStringConvertible {
        /// No verdict came within the deadline.
        case late(milliseconds: Int64)
        /// The request is larger than a frame may be: nothing was asked.
        case tooLarge
        /// The connection ended first, or could not be asked at all.
        case disconnected(String)
        /// A verdict came, and is not one (protocol.md, "Errors").
        case malformed(ProtocolError)

        /// Stable, for logs and metrics.
        public var reason: String {
            switch self {
            case .late: "policy-late"
            case .tooLarge: "check-too-large"
            case .disconnected: "policy-unreachable"
            case .malformed: "policy-verdict-malformed"
            }
        }

        public var description: String {
            switch self {
            case .late(let milliseconds): "the policy daemon did not answer in \(milliseconds) ms"
            case .tooLarge: "the request is larger than a CHECK may be"
            case .disconnected(let why): "the policy daemon was lost: \(why)"
            case .malformed(let error): "the policy daemon's verdict is unusable: \(error)"
            }
        }
    }

    /// The payload of the VERDICT; ``verdict``'s ranges lie in it.
    public let payload = ByteBuffer(capacity: 512)
    /// What the daemon decided; nil unless the state is ``State/answered``.
    public var verdict: VerdictMessage? { answer }
    public var state: State { course }
    /// What the daemon that was asked said in its HELLO.
    public var session: PolicySession? { asked }

    // Behind accessors, as what has public storage is looked after at run time at each access (SE-0176).
    private var course = State.idle
    private var answer: VerdictMessage?
    private var asked: PolicySession?
    private var id: UInt32 = 0
    private var parked: Waiter?

    /// Of the task that asks, and that parks for the answer. Set it before asking.
    public var waiter: Waiter? {
        get { parked }
        set { parked = newValue }
    }

    public init() {}

    public var isWaiting: Bool { if case .waiting = course { true } else { false } }

    private func awaits(_ id: UInt32, _ session: PolicySession) -> Bool { isWaiting && self.id == id && asked === session }

    /// Parks until there is an answer, or it is certain that there will be none. That is never later than the deadline.
    ///
    /// Always inlined, as ``Waiter/park()`` is, and for the same reason.
    @inlinable @inline(__always)
    public func wait() async {
        while isWaiting {
            guard let waiter else { preconditionFailure("a task that waits for a verdict sets its waiter first") }
            await waiter.park()
        }
    }

    func begin(_ id: UInt32, _ session: PolicySession) {
        (course, answer, self.id) = (.waiting, nil, id)
        // As a rule it is the one that was asked before.
        if asked !== session { asked = session }
    }

    /// Puts the verdict here, unless this asks something else by now.
    func answer(_ payload: Span<UInt8>, to id: UInt32, of session: PolicySession) {
        guard awaits(id, session) else { return }
        do throws(ProtocolError) {
            answer = try VerdictMessage.parse(payload)
            course = .answered
            self.payload.clear()
            self.payload.append(payload)
        } catch {
            course = .lost(.malformed(error))
        }
        parked?.wake()
    }

    /// Says that no verdict will come, unless this asks something else by now.
    func lose(_ id: UInt32, of session: PolicySession, _ loss: Loss) {
        guard awaits(id, session) else { return }
        course = .lost(loss)
        parked?.wake()
    }

    /// Says that this is not asked at all.
    func lose(before session: PolicySession, _ loss: Loss) {
        begin(0, session)
        lose(0, of: session, loss)
    }
}
