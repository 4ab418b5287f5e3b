import Bytes
import CLinux

/// Where a socket is: an IP address and port, or the path of a Unix socket.
public struct SocketAddress: Sendable, Equatable, CustomStringConvertible {
    var storage: linux_address
    var length: socklen_t

    init(storage: linux_address, length: socklen_t) {
        self.storage = storage
        self.length = length
    }

    /// How long a Unix socket's path may be (unix(7)): `sun_path` has 108 bytes, the last of which is zero.
    public static let maximumPathBytes = 107

    /// The Unix socket at `path`; `@name` is one in the abstract namespace.
    public static func unix(path: String) throws(SystemError) -> SocketAddress {
        var storage = linux_address()
        let length = unsafe linux_unix_address(&storage, path)
        guard length > 0 else { throw SystemError("the socket path \(path)", code: ENAMETOOLONG) }
        return SocketAddress(storage: storage, length: length)
    }

    /// An IP address and port.
    public init(_ address: IPAddress, port: UInt16) {
        var storage = linux_address()
        let bytes = address.bytes
        length = unsafe bytes.span.withUnsafeBufferPointer { bytes in
            unsafe linux_ip_address(&storage, bytes.baseAddress, address.isIPv4 ? 1 : 0, port)
        }
        self.storage = storage
    }

    /// The IP address; nil for a Unix socket.
    public var ipAddress: IPAddress? {
        let text = Array(host.utf8)
        return IPAddress(text.span)
    }

    /// All addresses of `host`, a name or an IP address, in the system's order of preference. Blocks: for start-up.
    public static func resolve(host: String, port: Int) throws(ResolutionError) -> [SocketAddress] {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        unsafe hints.ai_flags = AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        let failure = unsafe getaddrinfo(host, String(port), &hints, &list)
        guard failure == 0 else {
            throw ResolutionError(host: host, reason: unsafe String(cString: gai_strerror(failure)))
        }
        defer { unsafe freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var next = unsafe list
        while let entry = unsafe next {
            var storage = linux_address()
            unsafe withUnsafeMutableBytes(of: &storage) { room in
                unsafe room.copyMemory(from: UnsafeRawBufferPointer(
                    start: entry.pointee.ai_addr, count: Int(entry.pointee.ai_addrlen)))
            }
            unsafe addresses.append(SocketAddress(storage: storage, length: entry.pointee.ai_addrlen))
            unsafe next = entry.pointee.ai_next
        }
        return addresses
    }

    var family: Int32 { Int32(storage.ss_family) }

    /// Whether it is a Unix socket's.
    public var isUnix: Bool { family == AF_UNIX }

    /// The path of a Unix socket, `@name` for one in the abstract namespace; nil for others, and for one without a path.
    public var unixPath: String? {
        var copy = storage
        return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { text in
            let count = unsafe linux_unix_path(&copy, length, text.baseAddress!, text.count)
            guard count > 0 else { return nil }
            return unsafe String(decoding: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(text)[..<count]), as: UTF8.self)
        }
    }

    /// Whether both are the same place. The kernel tells a Unix socket's path at its length, however long the address was made.
    public static func == (left: SocketAddress, right: SocketAddress) -> Bool {
        if left.isUnix, let path = left.unixPath { return path == right.unixPath }
        var (one, other) = (left.storage, right.storage)
        return unsafe left.length == right.length && memcmp(&one, &other, Int(left.length)) == 0
    }

    /// The port, or 0 for a Unix socket.
    public var port: Int {
        var copy = storage
        return unsafe Int(linux_address_port(&copy))
    }

    /// The IP address as text, without its port; empty for a Unix socket.
    public var host: String {
        var copy = storage
        return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { text in
            let count = unsafe linux_address_text(&copy, text.baseAddress!, text.count)
            return unsafe String(decoding: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(text)[..<count]), as: UTF8.self)
        }
    }

    public var description: String {
        guard family != AF_UNIX else { return "unix socket" }
        return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}

/// A host name that has no address.
public struct ResolutionError: Error, CustomStringConvertible {
    public let host: String
    public let reason: String

    public init(host: String, reason: String) {
        self.host = host
        self.reason = reason
    }

    public var description: String { "cannot resolve \(host): \(reason)" }
}
