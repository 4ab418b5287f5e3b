import Bytes
import EventLoop
import Settings

extension Form where Value == AdminAddress {
    /// Where an admin listener may listen.
    public static var adminAddress: Form {
        Form(accepted: Form<SocketAddress>.acceptedListening + ", or unix:/path") { text in
            guard text.hasPrefix("unix:") else { return SocketAddress(listening: text).map(AdminAddress.tcp) }
            let path = String(text.dropFirst(5))
            return path.hasPrefix("/") && path.utf8.count <= SocketAddress.maximumPathBytes ? .unix(path: path, mode: 0o600) : nil
        }
    }
}

extension Form where Value == SocketAddress {
    static var acceptedListening: String { "a loopback address and port as in 127.0.0.1:9464 or [::1]:9464, or any:ADDRESS:PORT for another one" }

    /// An address and port that this machine alone gets to, unless `any:` stands before them.
    public static var listening: Form { Form(accepted: acceptedListening) { SocketAddress(listening: $0) } }
}

extension SocketAddress {
    /// Where this machine alone gets to it, unless `any:` says that others may.
    fileprivate init?(listening text: String) {
        let isOpen = text.hasPrefix("any:")
        let address = isOpen ? String(text.dropFirst(4)) : text
        guard let place = HostAndPort(address), isOpen || place.host == "::1" || place.host.hasPrefix("127."),
            IPAddress(Array(place.host.utf8).span) != nil, let resolved = try? SocketAddress.resolve(host: place.host, port: place.port).first
        else { return nil }
        self = resolved
    }
}
