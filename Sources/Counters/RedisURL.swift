import Bytes
import EventLoop

extension RedisAddress {
    /// What a URL may look like, for messages.
    public static let accepted = """
        redis://[[user]:password@]host[:port][/database], unix:/path, \
        redis-sentinel://[[user]:password@]host[:port],…/master[/database] or \
        redis-cluster://[[user]:password@]host[:port],…; rediss://, rediss-sentinel:// and rediss-cluster:// for TLS
        """

    /// How many sentinels or seeds a URL may name.
    private static let maximumPlaces = 64

    /// Reads a URL of one of the ``accepted`` forms; user and password may be percent-encoded. Nil for anything else.
    public init?(url: String) {
        if url.hasPrefix("unix:") {
            let path = String(url.dropFirst(5))
            guard path.hasPrefix("/"), path.utf8.count <= SocketAddress.maximumPathBytes else { return nil }
            self.init(place: .unix(path: path))
            return
        }
        guard let scheme = Scheme(of: url), let parts = Parts(url.dropFirst(scheme.name.count + 3)) else { return nil }
        let defaultPort = scheme.kind == "-sentinel" ? 26379 : 6379
        let hosts = parts.authority.split(separator: ",", maxSplits: Self.maximumPlaces, omittingEmptySubsequences: false)
        let places = hosts.compactMap { Self.place($0, defaultPort: defaultPort) }
        guard places.count == hosts.count, places.count <= Self.maximumPlaces else { return nil }
        var path = parts.path[...]
        let topology: Topology
        switch scheme.kind {
        case "-sentinel":
            guard let master = path.popFirst().flatMap(Self.decode), !master.isEmpty else { return nil }
            topology = .sentinel(places, master: master)
        case "-cluster":
            guard path.allSatisfy(\.isEmpty), path.count <= 1 else { return nil }
            topology = .cluster(places)
        default:
            guard places.count == 1 else { return nil }
            topology = .single(places[0])
        }
        guard path.count <= 1, let database = Self.database(path.first ?? "") else { return nil }
        self.init(
            topology, user: parts.user, password: parts.password, database: database,
            tls: scheme.isSecure ? RedisTLS() : nil)
    }

    private struct Scheme {
        let name: Substring
        var isSecure: Bool { name.hasPrefix("rediss") }
        var kind: Substring { name.dropFirst(isSecure ? 6 : 5) }

        init?(of url: String) {
            guard let colon = url.firstIndex(of: ":"), url[colon...].hasPrefix("://"), url.hasPrefix("redis") else { return nil }
            name = url[..<colon]
            guard ["", "-sentinel", "-cluster"].contains(kind) else { return nil }
        }
    }

    /// What comes after a scheme, taken apart.
    private struct Parts {
        var user: String?
        var password: String?
        let authority: Substring
        let path: [Substring]

        init?(_ text: Substring) {
            // Nothing in a path may have an @, so the last one ends the credentials, whatever a password has in it.
            let at = text.lastIndex(of: "@")
            if let at {
                let credentials = text[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
                guard credentials.count == 2, let name = decode(credentials[0]), let word = decode(credentials[1])
                else { return nil }
                user = name.isEmpty ? nil : name
                password = word.isEmpty ? nil : word
            }
            let rest = at.map { text[text.index(after: $0)...] } ?? text
            let pieces = rest.split(separator: "/", omittingEmptySubsequences: false)
            authority = pieces[0]
            path = Array(pieces.dropFirst())
        }
    }

    private static func database(_ digits: Substring) -> Int? { digits.isEmpty ? 0 : number(digits, in: 0...65535) }

    static func place(_ text: Substring, defaultPort: Int) -> Place? {
        guard let place = HostAndPort(text, defaultPort: defaultPort), place.port > 0,
            place.host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") })
        else { return nil }
        return .tcp(host: place.host, port: place.port)
    }

    private static func number(_ digits: Substring, in range: ClosedRange<Int>) -> Int? {
        guard digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }), let number = Int(digits)
        else { return nil }
        return range.contains(number) ? number : nil
    }

    private static func decode(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst()?.hexadecimalValue, let low = rest.popFirst()?.hexadecimalValue
            else { return nil }
            bytes.append(high << 4 | low)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
