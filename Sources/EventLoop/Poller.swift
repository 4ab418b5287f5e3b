import CLinux

/// The epoll descriptor of a loop and the sockets registered with it.
///
/// Edge-triggered: an event sets a socket's sticky flag, and only a call that found nothing clears it. An event carries the
/// place of its socket and that place's generation, so that a late event of a closed descriptor wakes nobody else.
@safe final class Poller {
    private struct Place {
        var socket: Socket?
        var generation: UInt32 = 0
    }

    private static let eventCapacity = 512
    private static let inboxData = UInt64.max

    private let epoll: Int32
    private let interruptor: Int32
    // Taken out while they are changed, as in the ``EventLoop``.
    private var places: [Place] = []
    private var freePlaces: [Int] = []
    private let events: UnsafeMutablePointer<linux_event>
    private var eventCount = 0

    init() throws(SystemError) {
        epoll = try SystemError.check(linux_epoll_create(), "epoll_create1")
        interruptor = try SystemError.check(linux_eventfd(), "eventfd")
        unsafe events = .allocate(capacity: Self.eventCapacity)
        try SystemError.check(
            linux_epoll_set(epoll, EPOLL_CTL_ADD, interruptor, linux_epoll_in | linux_epoll_edge, Self.inboxData), "epoll_ctl")
    }

    deinit {
        unsafe events.deallocate()
        close(interruptor)
        close(epoll)
    }

    /// Makes a poll under way on the loop's thread return. From any thread.
    func interrupt() { linux_eventfd_signal(interruptor) }

    func register(_ socket: Socket, events: UInt32) throws(SystemError) -> Int {
        var (places, freePlaces) = takePlaces()
        defer { (self.places, self.freePlaces) = (places, freePlaces) }
        let place = freePlaces.popLast() ?? places.count
        if place == places.count { places.append(Place()) }
        let data = UInt64(places[place].generation) << 32 | UInt64(place)
        let result = linux_epoll_set(epoll, EPOLL_CTL_ADD, socket.descriptor, events | linux_epoll_edge, data)
        guard result >= 0 else {
            freePlaces.append(place)
            throw SystemError("epoll_ctl", code: -result)
        }
        places[place].socket = socket
        return place
    }

    func change(_ socket: Socket, at place: Int, events: UInt32) {
        let data = UInt64(places[place].generation) << 32 | UInt64(place)
        _ = linux_epoll_set(epoll, EPOLL_CTL_MOD, socket.descriptor, events | linux_epoll_edge, data)
    }

    /// Forgets the socket at `place`. Closing its descriptor takes it out of the epoll set; a descriptor that others share
    /// (a listener's) must be taken out by itself.
    func unregister(_ place: Int, removing descriptor: Int32? = nil) {
        if let descriptor { _ = linux_epoll_set(epoll, EPOLL_CTL_DEL, descriptor, 0, 0) }
        var (places, freePlaces) = takePlaces()
        // Let go of when all is in its place again: with it may go whoever unregisters others.
        let socket = exchange(&places[place].socket, with: nil)
        places[place].generation &+= 1
        freePlaces.append(place)
        (self.places, self.freePlaces) = (places, freePlaces)
        withExtendedLifetime(socket) {}
    }

    private func takePlaces() -> ([Place], [Int]) { (exchange(&places, with: []), exchange(&freePlaces, with: [])) }

    func poll(timeoutMilliseconds: Int32) {
        // -EINTR is as good as no event: the next turn polls again.
        eventCount = max(0, Int(unsafe linux_epoll_wait(epoll, events, Int32(Self.eventCapacity), timeoutMilliseconds)))
    }

    /// Marks and wakes what the last ``poll(timeoutMilliseconds:)`` found ready; `takeInbox` when another thread interrupted.
    func wakeReady(_ takeInbox: () -> Void) {
        for index in 0..<eventCount {
            let data = unsafe linux_event_data(events, Int32(index))
            if data == Self.inboxData {
                linux_eventfd_clear(interruptor)
                takeInbox()
                continue
            }
            let place = places[Int(UInt32(truncatingIfNeeded: data))]
            guard place.generation == UInt32(truncatingIfNeeded: data >> 32) else { continue }
            place.socket?.mark(unsafe linux_event_flags(events, Int32(index)))
        }
        eventCount = 0
    }
}
