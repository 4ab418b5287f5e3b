import COpenSSL
import EventLoop
import Synchronization

/// Sessions with one server that a client may bring back (RFC 8446 §2.2), so that the next connection costs no signature. What they were
/// verified by holds for them all: one of these for each server, its name, and each ``TLSContext``.
///
/// Shared by all workers. Each session is used by one connection at a time.
@safe public final class TLSSessions: Sendable {
    /// A server gives out several with each connection; the latest are the best.
    private static let capacity = 8

    private let kept = Mutex(Kept())

    @safe private struct Kept: ~Copyable, @unchecked Sendable {
        var sessions: [OpaquePointer] = unsafe []

        deinit { for unsafe session in unsafe sessions { unsafe SSL_SESSION_free(session) } }
    }

    private let nowUnixSeconds: @Sendable () -> Int64

    public convenience init() { self.init(nowUnixSeconds: { Clock.unixMilliseconds() / 1000 }) }

    init(nowUnixSeconds: @escaping @Sendable () -> Int64) { self.nowUnixSeconds = nowUnixSeconds }

    /// Keeps a session, of which it takes over one reference.
    func keep(_ session: OpaquePointer) {
        kept.withLock { kept in
            unsafe kept.sessions.append(session)
            if unsafe kept.sessions.count > Self.capacity { unsafe SSL_SESSION_free(kept.sessions.removeFirst()) }
        }
    }

    /// Has `stream`, which has not begun, bring back the latest one, if there is any.
    func offer(on stream: TLSStream) {
        unsafe SSL_set_ex_data(stream.session, 0, Unmanaged.passUnretained(self).toOpaque())
        guard let session = unsafe kept.withLock({ unsafe $0.sessions.popLast() }) else { return }
        defer { unsafe SSL_SESSION_free(session) }
        guard unsafe SSL_SESSION_is_resumable(session) == 1, unsafe hasCurrentPeer(session, nowUnixSeconds: nowUnixSeconds()) else { return }
        unsafe SSL_set_session(stream.session, session)
    }

    /// Keeps the session that `stream` has brought back where its server gives out no other one: before TLS 1.3 it is good for many
    /// connections.
    func keepResumed(by stream: TLSStream) {
        guard stream.isResumed, unsafe SSL_version(stream.session) < TLS1_3_VERSION, let session = unsafe SSL_get1_session(stream.session) else {
            return
        }
        unsafe keep(session)
    }

    /// Has the sessions of a context that servers give out kept where their streams want that.
    static func collect(from context: OpaquePointer) {
        unsafe openssl_collect_sessions(context) { stream, session in
            guard let pointer = unsafe SSL_get_ex_data(stream, 0), let session = unsafe session else { return 0 }
            // Lives as long as the stream, which holds it.
            unsafe Unmanaged<TLSSessions>.fromOpaque(pointer).takeUnretainedValue().keep(session)
            return 1
        }
    }
}
