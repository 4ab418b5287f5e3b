import CLinux

/// A descriptor, or what was said of one, that this process was started with and can't use.
public struct UnfitDescriptor: Error, CustomStringConvertible {
    public let description: String
}

/// The descriptors that a process was started with for its use, as sd_listen_fds(3) tells of them: sockets of a service manager's,
/// or what the process before hands over.
struct PassedDescriptors: Equatable {
    /// What each is called, from descriptor ``first`` on.
    var names: [String] = []
    /// Whether they come from a process of the same program, whose place is to be taken.
    var areHandedOver = false

    /// The number of the first one (SD_LISTEN_FDS_START).
    static let first: Int32 = 3
    static let maximumCount = 1024
    /// The lock beside a Unix socket that is handed over.
    static let lockName = "gatehouse-lock"
    /// The connection to the process before, the last of what that hands over.
    static let channelName = "gatehouse-predecessor"

    /// Reads what the environment says. Variables that were meant for another process are left alone.
    static func read(_ variable: (String) -> String?, process: Int32) throws(UnfitDescriptor) -> PassedDescriptors {
        guard let text = variable("LISTEN_PID") else { return PassedDescriptors() }
        guard let addressee = Int32(text) else { throw UnfitDescriptor(description: "LISTEN_PID is \"\(text)\"; accepted is a process") }
        guard addressee == process else { return PassedDescriptors() }
        let countText = variable("LISTEN_FDS") ?? ""
        guard let count = Int(countText), (0...maximumCount).contains(count) else {
            throw UnfitDescriptor(description: "LISTEN_FDS is \"\(countText)\"; accepted is a number from 0 to \(maximumCount)")
        }
        guard count > 0 else { return PassedDescriptors() }
        guard let stated = variable("LISTEN_FDNAMES") else { return PassedDescriptors(names: Array(repeating: "unknown", count: count)) }
        let names = stated.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard names.count == count else {
            throw UnfitDescriptor(description: "LISTEN_FDNAMES is \"\(stated)\"; accepted are \(count) names with colons between them, by LISTEN_FDS")
        }
        return PassedDescriptors(names: names, areHandedOver: names.last == channelName)
    }
}

/// A listening socket that this process was started with.
struct PassedSocket {
    let descriptor: Int32
    let name: String
    let address: SocketAddress

    /// Has a passed descriptor serve as listening socket.
    ///
    /// - Throws: where it is anything else.
    init(_ descriptor: Int32, name: String) throws {
        self.descriptor = descriptor
        self.name = name
        let title = "descriptor \(descriptor) (\(name))"
        let isStream = linux_is_stream(descriptor)
        guard isStream != -ENOTSOCK else { throw UnfitDescriptor(description: "\(title) is no socket; accepted are listening stream sockets") }
        try SystemError.check(isStream, title)
        guard isStream == 1 else { throw UnfitDescriptor(description: "\(title) is no stream socket; accepted are listening stream sockets") }
        guard try SystemError.check(linux_option(descriptor, SOL_SOCKET, SO_ACCEPTCONN), title) == 1 else {
            throw UnfitDescriptor(description: "\(title) does not listen; accepted are listening stream sockets")
        }
        try SystemError.check(linux_make_nonblocking(descriptor), title)
        var storage = linux_address()
        var length = socklen_t(MemoryLayout<linux_address>.size)
        try unsafe SystemError.check(linux_local_address(descriptor, &storage, &length), title)
        address = SocketAddress(storage: storage, length: length)
    }

    var title: String { "descriptor \(descriptor) (\(name)), which listens on \(address.place)" }
}

extension SocketAddress {
    /// For messages about who listens where.
    var place: String { unixPath.map { "unix:\($0)" } ?? description }
}
