/// Where a Redis or Valkey is, and as whom to go there.
public struct RedisAddress: Sendable, Equatable, CustomStringConvertible {
    public enum Place: Sendable, Equatable {
        case tcp(host: String, port: Int)
        case unix(path: String)
    }

    public var place: Place
    public var user: String?
    public var password: String?
    public var database = 0

    public init(place: Place, user: String? = nil, password: String? = nil, database: Int = 0) {
        self.place = place
        self.user = user
        self.password = password
        self.database = database
    }

    /// What a `REDIS_URL` may look like, for messages.
    public static let accepted = "redis://[[user]:password@]host[:port][/database] or unix:/path"

    /// Reads a URL of one of the ``accepted`` forms; user and password may be percent-encoded. Nil for anything else.
    public init?(url: String) {
        if url.hasPrefix("unix:") {
            let path = String(url.dropFirst(5))
            guard path.hasPrefix("/"), path.utf8.count <= 107 else { return nil }
            self.init(place: .unix(path: path))
            return
        }
        guard url.hasPrefix("redis://") else { return nil }
        var rest = url.dropFirst(8)
        var database = 0
        if let slash = rest.lastIndex(of: "/") {
            let digits = rest[rest.index(after: slash)...]
            guard digits.isEmpty || Self.number(digits, in: 0...65535) != nil else { return nil }
            database = Self.number(digits, in: 0...65535) ?? 0
            rest = rest[..<slash]
        }
        var user: String?
        var password: String?
        if let at = rest.lastIndex(of: "@") {
            let credentials = rest[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard credentials.count == 2, let name = Self.decode(credentials[0]), let word = Self.decode(credentials[1])
            else { return nil }
            user = name.isEmpty ? nil : name
            password = word.isEmpty ? nil : word
            rest = rest[rest.index(after: at)...]
        }
        guard let place = Self.place(rest) else { return nil }
        self.init(place: place, user: user, password: password, database: database)
    }

    private static func place(_ text: Substring) -> Place? {
        var host = text
        var port = 6379
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { return nil }
            host = text[text.index(after: text.startIndex)..<end]
            let tail = text[text.index(after: end)...]
            if !tail.isEmpty {
                guard tail.hasPrefix(":"), let number = number(tail.dropFirst(), in: 1...65535) else { return nil }
                port = number
            }
        } else if let colon = text.lastIndex(of: ":") {
            guard let number = number(text[text.index(after: colon)...], in: 1...65535) else { return nil }
            port = number
            host = text[..<colon]
            // Which of several colons comes before the port only brackets can say.
            guard !host.contains(":") else { return nil }
        }
        let allowed = host.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
        return host.isEmpty || !allowed ? nil : .tcp(host: String(host), port: port)
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
            guard let high = rest.popFirst().flatMap(hexDigit), let low = rest.popFirst().flatMap(hexDigit)
            else { return nil }
            bytes.append(high << 4 | low)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    /// For logs: without user and password.
    public var description: String {
        switch place {
        case .tcp(let host, let port): "\(host.contains(":") ? "[\(host)]" : host):\(port)/\(database)"
        case .unix(let path): "unix:\(path)"
        }
    }
}
