import Bytes

/// `envoy.service.auth.v3.CheckRequest`: where the parts that a decision needs lie in the message's bytes.
///
/// Strings are not held to be UTF-8: what may stand in each is for whoever judges it.
public struct CheckRequest: Sendable {
    public struct Header: Sendable, Equatable {
        public var name = 0..<0
        public var value = 0..<0
    }

    public private(set) var method = 0..<0
    /// Path and query.
    public private(set) var path = 0..<0
    public private(set) var host = 0..<0
    /// The client's IP address as text, or the path of a Unix socket; empty where it isn't told.
    public private(set) var sourceAddress = 0..<0
    private var mergedHeaders: [Header] = []
    private var rawHeaders: [Header] = []
    private var hasHeaderMap = false

    public init() {}

    /// Pseudo-header fields among them. From `header_map` where the message has one, in which a header that came more than once is there
    /// as often; else from `headers`, where it is there once, its values joined.
    public var headers: [Header] { hasHeaderMap ? rawHeaders : mergedHeaders }

    /// Reads a message in place of what was held.
    public mutating func read(_ bytes: Span<UInt8>, _ message: Range<Int>) throws(MalformedMessage) {
        (method, path, host, sourceAddress) = (0..<0, 0..<0, 0..<0, 0..<0)
        mergedHeaders.removeAll(keepingCapacity: true)
        rawHeaders.removeAll(keepingCapacity: true)
        hasHeaderMap = false
        var reader = WireReader(message)
        while let (number, value) = try reader.next(in: bytes) {
            if number == 1 { try readAttributes(bytes, value.range(of: "attributes")) }
        }
    }

    private mutating func readAttributes(_ bytes: Span<UInt8>, _ message: Range<Int>) throws(MalformedMessage) {
        var reader = WireReader(message)
        while let (number, value) = try reader.next(in: bytes) {
            switch number {
            case 1: try readSource(bytes, value.range(of: "source"))
            case 4: try readRequest(bytes, value.range(of: "request"))
            default: continue
            }
        }
    }

    private mutating func readSource(_ bytes: Span<UInt8>, _ message: Range<Int>) throws(MalformedMessage) {
        var peer = WireReader(message)
        while let (number, value) = try peer.next(in: bytes) {
            guard number == 1 else { continue }
            var address = WireReader(try value.range(of: "address"))
            while let (number, value) = try address.next(in: bytes) {
                // Not one that came by a socket address: a client on a Unix socket has none.
                sourceAddress = 0..<0
                guard number == 1 else { continue }
                var socketAddress = WireReader(try value.range(of: "socket_address"))
                while let (number, value) = try socketAddress.next(in: bytes) {
                    if number == 2 { sourceAddress = try value.range(of: "address") }
                }
            }
        }
    }

    private mutating func readRequest(_ bytes: Span<UInt8>, _ message: Range<Int>) throws(MalformedMessage) {
        var reader = WireReader(message)
        while let (number, value) = try reader.next(in: bytes) {
            if number == 2 { try readHTTP(bytes, value.range(of: "http")) }
        }
    }

    private mutating func readHTTP(_ bytes: Span<UInt8>, _ message: Range<Int>) throws(MalformedMessage) {
        var reader = WireReader(message)
        while let (number, value) = try reader.next(in: bytes) {
            switch number {
            case 2: method = try value.range(of: "method")
            case 3: mergedHeaders.append(try Self.header(bytes, value.range(of: "headers")))
            case 4: path = try value.range(of: "path")
            case 5: host = try value.range(of: "host")
            case 13:
                hasHeaderMap = true
                var map = WireReader(try value.range(of: "header_map"))
                while let (number, value) = try map.next(in: bytes) {
                    if number == 1 { rawHeaders.append(try Self.header(bytes, value.range(of: "headers"))) }
                }
            default: continue
            }
        }
    }

    /// Reads an entry of the map, or a `HeaderValue`, which has its value in field 2 or 3.
    private static func header(_ bytes: Span<UInt8>, _ message: Range<Int>) throws(MalformedMessage) -> Header {
        var header = Header()
        var reader = WireReader(message)
        while let (number, value) = try reader.next(in: bytes) {
            switch number {
            case 1: header.name = try value.range(of: "key")
            case 2, 3:
                let range = try value.range(of: "value")
                if !range.isEmpty { header.value = range }
            default: continue
            }
        }
        return header
    }
}
