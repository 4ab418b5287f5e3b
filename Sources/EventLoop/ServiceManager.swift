import CLinux

/// Tells the service manager how the service is doing (sd_notify(3)); without one, it does nothing.
public enum ServiceManager {
    public static func notifyReady() { notify("READY=1") }
    public static func notifyStopping() { notify("STOPPING=1") }
    /// Has the manager follow another process from now on, as the service's main one: it believes the one before only.
    public static func notifyMainProcess(_ process: Int32) { notify("MAINPID=\(process)") }

    /// Sends `state` as one datagram to the socket that `NOTIFY_SOCKET` names.
    static func notify(_ state: String) {
        guard let path = unsafe getenv("NOTIFY_SOCKET").map({ unsafe String(cString: $0) }), !path.isEmpty,
            let address = try? SocketAddress.unix(path: path)
        else { return }
        let descriptor = linux_datagram_socket()
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var storage = address.storage
        var text = state
        guard unsafe linux_connect(descriptor, &storage, address.length) == 0 else { return }
        _ = text.withUTF8 { unsafe linux_send(descriptor, $0.baseAddress, $0.count) }
    }
}
