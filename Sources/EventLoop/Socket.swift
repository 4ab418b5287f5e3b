import Bytes
import CLinux

/// What one attempt to receive came to.
public enum ReceiveResult: Equatable {
    case received(Int)
    /// Nothing there now: park until ``Socket/isReadable``.
    case wouldBlock
    /// The peer has ended its side in good order.
    case ended
    /// The connection is gone: an errno.
    case failed(Int32)
}

/// What one attempt to send came to.
public enum SendResult: Equatable {
    /// Everything in the buffer is with the kernel.
    case sent
    /// Some is left in the buffer: park until ``Socket/isWritable``.
    case wouldBlock
    /// The connection is gone: an errno.
    case failed(Int32)
}

/// A non-blocking stream socket on one loop. Calls never wait: its task parks on its ``Waiter`` while the flags say no.
public final class Socket: ByteStream {
    public let loop: EventLoop
    let descriptor: Int32
    private let sharesDescriptor: Bool
    private var place = -1
    private var wantsWritable: Bool
    private let readable: Flag
    private let writable: Flag
    private let peerGone = Flag(false)
    private let broken = Flag(false)
    private let open = Flag(true)

    private var woken: Waiter?
    /// Who is woken by this socket's events.
    public var waiter: Waiter? {
        get { woken }
        set { woken = newValue }
    }
    /// Whether a receive is worth trying: bytes, the peer's end, or an error are there, or may be.
    public private(set) var isReadable: Bool { get { readable.isSet } set { readable.isSet = newValue } }
    /// Whether a send is worth trying.
    public private(set) var isWritable: Bool { get { writable.isSet } set { writable.isSet = newValue } }
    /// Whether the peer has ended its side or the connection is broken. Bytes it sent before may still be there to receive.
    public private(set) var isPeerGone: Bool { get { peerGone.isSet } set { peerGone.isSet = newValue } }
    /// Whether the connection is over in both directions, by a reset as a rule: nothing that is sent can arrive.
    public private(set) var isBroken: Bool { get { broken.isSet } set { broken.isSet = newValue } }
    public private(set) var isOpen: Bool { get { open.isSet } set { open.isSet = newValue } }
    /// What the kernel doesn't take stays in the sender's buffer.
    public var hasUnsent: Bool { false }

    /// Takes over `descriptor`, a connected (or, where `isConnecting`, connecting) non-blocking socket.
    init(loop: EventLoop, descriptor: Int32, isConnecting: Bool = false) throws(SystemError) {
        self.loop = loop
        self.descriptor = descriptor
        sharesDescriptor = false
        readable = Flag(false)
        writable = Flag(!isConnecting)
        wantsWritable = isConnecting
        do {
            place = try loop.poller.register(self, events: events)
        } catch {
            close()
            throw error
        }
    }

    /// A listening socket that other loops listen on as well: an arriving connection wakes one of them (EPOLLEXCLUSIVE).
    init(loop: EventLoop, listening descriptor: Int32) throws(SystemError) {
        self.loop = loop
        self.descriptor = descriptor
        sharesDescriptor = true
        readable = Flag(true)
        writable = Flag(false)
        wantsWritable = false
        place = try loop.poller.register(self, events: linux_epoll_in | linux_epoll_exclusive)
    }

    deinit { close() }

    private var events: UInt32 {
        linux_epoll_in | linux_epoll_rdhup | (wantsWritable ? linux_epoll_out : 0)
    }

    func mark(_ flags: UInt32) {
        if flags & (linux_epoll_in | linux_epoll_rdhup | linux_epoll_hup | linux_epoll_err) != 0 { isReadable = true }
        if flags & (linux_epoll_out | linux_epoll_hup | linux_epoll_err) != 0 { isWritable = true }
        if flags & (linux_epoll_rdhup | linux_epoll_hup | linux_epoll_err) != 0 { isPeerGone = true }
        if flags & (linux_epoll_hup | linux_epoll_err) != 0 { isBroken = true }
        woken?.wake()
    }

    /// Receives what is there, as far as the buffer's free room (at least `room` bytes) goes.
    public func receive(into buffer: ByteBuffer, room: Int) -> ReceiveResult {
        var outcome = ReceiveResult.ended
        _ = unsafe buffer.fill(atLeast: room) { free in
            outcome = unsafe receive(into: free)
            if case .received(let count) = outcome { return count }
            return 0
        }
        return outcome
    }

    /// Receives what is there into memory that a C library lends.
    public func receive(into free: UnsafeMutableRawBufferPointer) -> ReceiveResult {
        guard isOpen else { return .ended }
        let result = unsafe linux_receive(descriptor, free.baseAddress, free.count)
        if result > 0 {
            // A stream that gave less than it was offered is drained, and the next byte is a new edge (epoll(7)). Not so
            // where the end is already known: it would bring no further edge.
            if result < free.count, !isPeerGone { isReadable = false }
            return .received(result)
        }
        if result == 0 { return .ended }
        if -result == EAGAIN || -result == EINTR {
            isReadable = -result == EINTR
            return .wouldBlock
        }
        return .failed(Int32(-result))
    }

    /// Copies what is there, as far as the buffer's free room (at least `room` bytes) goes, and leaves it to be received. Where it
    /// is not enough, park until ``isReadable``: it is so again when more has come.
    public func peek(into buffer: ByteBuffer, room: Int) -> ReceiveResult {
        guard isOpen else { return .ended }
        var result = 0
        _ = unsafe buffer.fill(atLeast: room) { free in
            result = unsafe linux_peek(descriptor, free.baseAddress, free.count)
            return max(result, 0)
        }
        if result == 0 { return .ended }
        isReadable = -result == EINTR
        if result > 0 { return .received(result) }
        return -result == EAGAIN || -result == EINTR ? .wouldBlock : .failed(Int32(-result))
    }

    /// Receives just so many bytes, which a ``peek(into:room:)`` has seen, and forgets them. False where they can't be had.
    public func skip(_ byteCount: Int, by buffer: ByteBuffer) -> Bool {
        guard isOpen else { return false }
        var left = byteCount
        while left > 0 {
            var result = 0
            _ = unsafe buffer.fill(atLeast: left) { free in
                result = unsafe linux_receive(descriptor, free.baseAddress, left)
                return max(result, 0)
            }
            guard result > 0 || -result == EINTR else { return false }
            left -= max(result, 0)
        }
        isReadable = true
        return true
    }

    /// Where this end of the connection is.
    public var localAddress: SocketAddress? {
        var storage = linux_address()
        var length = socklen_t(MemoryLayout<linux_address>.size)
        guard unsafe linux_local_address(descriptor, &storage, &length) == 0 else { return nil }
        return SocketAddress(storage: storage, length: length)
    }

    /// Sends what is in the buffer and consumes what the kernel took.
    public func send(_ buffer: ByteBuffer) -> SendResult {
        guard isOpen else { return .failed(EPIPE) }
        while !buffer.isEmpty {
            let bytes = buffer.bytes
            let result = unsafe bytes.withUnsafeBytes { unsafe send($0) }
            if result >= 0 {
                buffer.consume(result)
            } else if -result == EAGAIN {
                return .wouldBlock
            } else if -result != EINTR {
                return .failed(Int32(-result))
            }
        }
        return .sent
    }

    /// Sends bytes of a C library's memory.
    ///
    /// - Returns: how many the kernel took, or a negated errno; after EAGAIN park until ``isWritable``.
    public func send(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard isOpen else { return Int(-EPIPE) }
        let result = unsafe linux_send(descriptor, bytes.baseAddress, bytes.count)
        if -result == EAGAIN { awaitWritable() }
        return result
    }

    public func text(of code: Int32) -> String { SystemError.text(of: code) }

    /// An accept that found nothing: the next connection is a new edge.
    func foundNothing() { isReadable = false }

    /// EPOLLOUT is asked for only once a send would have blocked: a Unix socket would else report it after every read of its peer.
    private func awaitWritable() {
        isWritable = false
        guard !wantsWritable else { return }
        wantsWritable = true
        loop.poller.change(self, at: place, events: events)
    }

    /// Ends the sending side; the peer reads the end after the last byte.
    public func endSending() {
        if isOpen { shutdown(descriptor, Int32(SHUT_WR)) }
    }

    public func close() {
        guard isOpen else { return }
        isOpen = false
        waiter = nil
        if place >= 0 { loop.poller.unregister(place, removing: sharesDescriptor ? descriptor : nil) }
        if !sharesDescriptor { _ = CLinux.close(descriptor) }
    }

    /// Closes with a reset (RST): the peer sees that this is no orderly end.
    public func reset() {
        guard isOpen else { return }
        linux_set_abortive_close(descriptor)
        close()
    }

    /// The user and process at the other end of a Unix socket (SO_PEERCRED).
    public var peerCredentials: (uid: UInt32, pid: Int32)? {
        var uid: UInt32 = 0
        var pid: Int32 = 0
        return unsafe linux_peer_uid(descriptor, &uid, &pid) == 0 ? (uid, pid) : nil
    }

    /// The error of the connection attempt that has just finished, 0 for none.
    var pendingError: Int32 { linux_socket_error(descriptor) }
}

extension Socket {
    /// Connects to `address`, waiting on `waiter` no longer than `timeoutMilliseconds`.
    public static func connect(
        to address: SocketAddress, on waiter: Waiter, timeoutMilliseconds: Int64, unless isOver: () -> Bool = { false }
    ) async throws(SystemError) -> Socket {
        let call = "connect to \(address)"
        let descriptor = try SystemError.check(linux_socket(address.family), "socket")
        if address.family != AF_UNIX { _ = linux_set_option(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1) }
        var storage = address.storage
        let result = unsafe linux_connect(descriptor, &storage, address.length)
        let isConnecting = result == -EINPROGRESS
        guard result == 0 || isConnecting else {
            _ = CLinux.close(descriptor)
            throw SystemError(call, code: -result)
        }
        let socket = try Socket(loop: waiter.loop, descriptor: descriptor, isConnecting: isConnecting)
        guard isConnecting else { return socket }
        socket.waiter = waiter
        waiter.setDeadline(afterMilliseconds: timeoutMilliseconds)
        while !socket.isWritable, !waiter.isDue, !isOver() { await waiter.park() }
        let error = socket.isWritable ? socket.pendingError : ETIMEDOUT
        socket.waiter = nil
        waiter.clearDeadline()
        guard error == 0 else {
            socket.close()
            throw SystemError(call, code: error)
        }
        return socket
    }
}
