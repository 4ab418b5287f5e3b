import EventLoop
import Settings
import TLS

extension ListenerSettings {
    /// Reads the map of addresses to what holds there.
    ///
    /// - Returns: nil where no listeners are given.
    static func read(_ root: Section) -> [ListenerSettings]? {
        guard root.has("listeners") else { return nil }
        let accepted = "a map of addresses to options, such as \"0.0.0.0:443\": { tls: … }, or null"
        guard let entries = root.entries("listeners", accepted: accepted) else { return nil }
        let listeners = entries.compactMap { entry -> ListenerSettings? in
            let place = entry.key(as: .listenerPlace)
            guard let options = entry.options(accepted: "a map of options, {} for none") else { return nil }
            var listener = place ?? ListenerSettings(host: "", port: 0)
            listener.read(options)
            return place == nil ? nil : listener
        }
        if entries.isEmpty { root.report("listeners", "is empty", accepted: accepted) }
        if let redirecting = listeners.first(where: { $0.redirectPort != nil }), !listeners.contains(where: { $0.tls != nil }) {
            // Only its certificates say which hosts a client may be sent to.
            root.report("listeners", "redirects from \(redirecting.url), but none has tls", accepted: nil)
        }
        return listeners
    }

    private mutating func read(_ options: Section) {
        if options.has("tls") { tls = TLSServerSettings.read(options.section("tls"), protocols: ["h2", "http/1.1"]) }
        options.read("redirect_to_https", .integer(1...65_535), into: &redirectPort)
        options.read("hsts", .strictTransportSecurity, into: &strictTransportSecurity)
        if redirectPort != nil, options.has("tls") { options.report("redirect_to_https", "stands beside tls", accepted: "one of the two") }
        if strictTransportSecurity != nil, !options.has("tls") {
            options.report("hsts", "stands where there is no tls, and no browser would heed it", accepted: "it beside tls")
        }
    }
}

extension Form where Value == ListenerSettings {
    /// An address and a port, an IPv6 address in brackets.
    static var listenerPlace: Form {
        Form(accepted: "host:port or [address]:port, such as 0.0.0.0:443") { text in
            guard let place = HostAndPort(text), Form<String>.isHost(Substring(place.host)) else { return nil }
            return ListenerSettings(host: place.host, port: place.port)
        }
    }
}

extension Form where Value == String {
    /// The directives of RFC 6797 §6.1, and the one that browsers' preload lists ask for.
    fileprivate static var strictTransportSecurity: Form {
        Form(accepted: "max-age=SECONDS, perhaps followed by ; includeSubDomains and ; preload") { text in
            let parts = text.split(separator: ";", omittingEmptySubsequences: false).map { part in
                String(part.drop { $0 == " " })
            }
            guard let first = parts.first, first.hasPrefix("max-age="), let seconds = Int(first.dropFirst(8)), seconds >= 0,
                first.utf8.count <= 20, !first.contains("+")
            else { return nil }
            let isAccepted = [["includeSubDomains"], ["includeSubDomains", "preload"], []].contains(Array(parts.dropFirst()))
            return isAccepted ? parts.joined(separator: "; ") : nil
        }
    }
}
