import CLinux

/// The listening sockets of a process. One that it was started with, by a service manager (sd_listen_fds(3)) or by the process before,
/// is used by whoever asks for its address, whatever its place among them: so the clients in its queue are served. The others are opened.
///
/// To be used in one thread, in this order: ask for every socket, ``refuseUntaken()``, ``takeOver()``, accept. Later another set of sockets may
/// take the place of this one (``replace(_:)``).
public final class ListeningSockets {
    private var untaken: [PassedSocket] = []
    private var locks: [Int32] = []
    private var wanted: [SocketAddress] = []
    private var opened: [Opened] = []
    /// During a replacement: those of before that nobody has asked for again.
    private var replaced: [Opened] = []
    private var predecessor: ProcessChannel?
    /// Whether this process was started by the one before, to take its place.
    public let hasPredecessor: Bool

    /// A listener, and the address that it was asked for by: its port may have been any.
    private struct Opened {
        let asked: SocketAddress
        let listener: Listener
    }

    /// Takes what this process was started with.
    ///
    /// - Throws: ``UnfitDescriptor`` or ``SystemError`` for anything but listening stream sockets.
    public init() throws {
        let passed = try PassedDescriptors.read(
            { name in unsafe getenv(name).map { unsafe String(cString: $0) } }, process: getpid())
        hasPredecessor = passed.areHandedOver
        let descriptors = passed.names.indices.map { PassedDescriptors.first + Int32($0) }
        for descriptor in descriptors {
            try SystemError.check(linux_close_on_exec(descriptor), "LISTEN_FDS is \(passed.names.count), and descriptor \(descriptor)")
        }
        for (descriptor, name) in zip(descriptors, passed.names) {
            switch name {
            case PassedDescriptors.lockName where hasPredecessor: locks.append(descriptor)
            case PassedDescriptors.channelName where hasPredecessor: predecessor = ProcessChannel(descriptor)
            default: untaken.append(try PassedSocket(descriptor, name: name))
            }
        }
    }

    /// Listens on an IP address and port.
    public func tcp(_ address: SocketAddress, backlog: Int32 = Listener.usualBacklog) throws -> Listener {
        if let listener = takeReplaced(address) { return listener }
        guard let passed = take(address) else { return keep(try Listener.tcp(address, backlog: backlog), as: address) }
        return keep(Listener(descriptor: passed.descriptor, address: passed.address, file: nil), as: address)
    }

    /// Listens on a Unix socket of the given mode. The file of a service manager's socket is the manager's, and its mode is only looked at.
    public func unix(path: String, mode: mode_t, backlog: Int32 = Listener.usualBacklog) throws -> Listener {
        let address = try SocketAddress.unix(path: path)
        if let listener = takeReplaced(address) { return listener }
        guard let passed = take(address) else {
            return keep(try Listener.unix(path: path, mode: mode, backlog: backlog), as: address)
        }
        let present = mode_t(try unsafe SystemError.check(linux_mode(path), "\(passed.title): its file"))
        let lock = takeLock(of: path)
        if lock == nil, present & ~mode != 0 {
            throw UnfitDescriptor(description: "\(passed.title), has the mode 0\(String(present, radix: 8)); accepted is 0\(String(mode, radix: 8)) and what allows less (SocketMode)")
        }
        if lock != nil, present != mode { try unsafe SystemError.check(linux_chmod(path, mode), "chmod \(path)") }
        return keep(Listener(
            descriptor: passed.descriptor, address: passed.address, file: lock.map { SocketFile(path, lock: $0) }), as: address)
    }

    private func keep(_ listener: Listener, as asked: SocketAddress) -> Listener {
        opened.append(Opened(asked: asked, listener: listener))
        return listener
    }

    private func take(_ address: SocketAddress) -> PassedSocket? {
        wanted.append(address)
        // Port 0 is any: also the one that the process before was given.
        let index = untaken.firstIndex { $0.address == address }
            ?? (address.isUnix || address.port != 0 ? nil : untaken.firstIndex { $0.address.ipAddress == address.ipAddress })
        return index.map { untaken.remove(at: $0) }
    }

    private func takeLock(of path: String) -> Int32? {
        locks.firstIndex { unsafe linux_is_file($0, SocketFile.lockPath(of: path)) == 1 }.map { locks.remove(at: $0) }
    }

    /// Complains of a service manager's socket that nobody has asked for. What the process before listened on, and this one does
    /// not, is another configuration's, and closed in ``takeOver()``.
    public func refuseUntaken() throws(UnfitDescriptor) {
        guard !hasPredecessor, let first = untaken.first else { return }
        throw UnfitDescriptor(
            description: "\(first.title), is no listener's; the listeners are \(wanted.map(\.place).joined(separator: ", "))")
    }

    /// Tells the process before that this one can take its place, and waits until it may: it accepts no more then. Without one, it
    /// returns at once.
    ///
    /// - Throws: where the process before has changed its mind, or ended.
    public func takeOver() throws(UnfitDescriptor) {
        guard let predecessor else { return }
        guard predecessor.send(), predecessor.receive(milliseconds: nil) == .word else {
            throw UnfitDescriptor(description: "the process before has not made way")
        }
        self.predecessor = nil
        for opened in opened { opened.listener.file?.take() }
        for passed in untaken { discard(passed) }
        untaken = []
    }

    private func discard(_ passed: PassedSocket) {
        let file = passed.address.unixPath.flatMap { path in takeLock(of: path).map { SocketFile(path, lock: $0) } }
        file?.take()
        // Goes at once, and the file with it.
        _ = Listener(descriptor: passed.descriptor, address: passed.address, file: file)
    }

    // MARK: Another set of them

    /// Has `ask` ask for every socket of another configuration. One that is open already is used, a Unix socket with the mode that it has;
    /// the others are opened, and those of before that nobody asks for are let go.
    ///
    /// - Throws: what `ask` throws; those of before are open then, and no others.
    public func replace<Outcome>(_ ask: () throws -> Outcome) rethrows -> Outcome {
        let before = opened
        (opened, replaced, wanted) = ([], before, [])
        defer { replaced = [] }
        do {
            return try ask()
        } catch {
            opened = before
            throw error
        }
    }

    private func takeReplaced(_ address: SocketAddress) -> Listener? {
        guard let index = replaced.firstIndex(where: { $0.asked == address }) else { return nil }
        return keep(replaced.remove(at: index).listener, as: address)
    }

    // MARK: Those of a successor

    /// What a successor is to be started with to find these sockets.
    public var toPass: [PassedDescriptor] {
        opened.map { PassedDescriptor($0.listener.descriptor, name: "gatehouse") }
            + opened.compactMap(\.listener.file).map { PassedDescriptor($0.lock, name: PassedDescriptors.lockName) }
    }

    /// The files of Unix sockets stay when this process stops listening: they are the successor's.
    public func handOver() {
        for opened in opened { opened.listener.file?.handOver() }
    }

    /// Lets go of the sockets: each closes when nobody else listens on it.
    public func letGo() { opened = [] }
}
