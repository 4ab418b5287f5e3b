import EventLoop

/// Where clients come in: a listening socket, and what holds for those who come by it.
///
/// Held by the workers and the one who opens sockets alone, so that a port closes as soon as all of them have let go of it.
struct Entrance: Sendable {
    let listener: Listener
    let setup: ListenerSetup

    /// Everywhere that `configuration` has the proxy listen.
    ///
    /// - Parameter former: those of the configuration before.
    /// - Throws: where a socket can't be opened, a host has no address, or a certificate can't be used.
    static func all(
        in configuration: ProxyConfiguration, of sockets: ListeningSockets, replacing former: [ListenerSetup] = []
    ) throws -> [Entrance] {
        try ListenerSetup.all(configuration.allListeners, replacing: former).map { setup in
            let address = try SocketAddress.resolve(host: setup.settings.host, port: setup.settings.port)[0]
            return Entrance(listener: try sockets.tcp(address), setup: setup)
        }
    }
}

/// One worker's side of an entrance.
final class Door {
    /// Let go of when no more clients are accepted here.
    var listener: Listener?
    private(set) var setup: ListenerSetup
    private(set) var isClosing = false
    let waiter: Waiter

    init(_ entrance: Entrance, loop: EventLoop) {
        listener = entrance.listener
        setup = entrance.setup
        waiter = Waiter(loop: loop)
    }

    /// Who comes in from now on finds what holds at `entrance`; nil: nobody comes in any more.
    func lead(to entrance: Entrance?) {
        if let entrance { setup = entrance.setup } else { isClosing = true }
        waiter.wake()
    }
}
