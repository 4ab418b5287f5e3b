import EventLoop
import TLS

/// Where clients come in, and what they may speak there.
struct DoorSettings: Sendable {
    let listener: Listener
    let dialects: Set<Dialect>
    /// Nil: in the clear.
    var certificates: ServerCertificates?
}

/// One worker's side of a door.
final class Door {
    /// Let go of at the drain: the socket closes once every worker has.
    var listener: Listener?
    let dialects: Set<Dialect>
    let certificates: ServerCertificates?
    let waiter: Waiter
    /// Whether another worker has left a connection here for this one.
    var isAskedToAccept = false

    init(_ settings: DoorSettings, loop: EventLoop) {
        listener = settings.listener
        dialects = settings.dialects
        certificates = settings.certificates
        waiter = Waiter(loop: loop)
    }
}
