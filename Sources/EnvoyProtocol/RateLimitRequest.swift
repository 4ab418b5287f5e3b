import Bytes

/// `envoy.service.ratelimit.v3.RateLimitRequest`: where its parts lie in the message's bytes.
public struct RateLimitRequest: Sendable {
    public struct Entry: Sendable, Equatable {
        public internal(set) var key = 0..<0
        public internal(set) var value = 0..<0
    }

    /// What one request is counted by.
    public struct Descriptor: Sendable {
        public internal(set) var entries: [Entry] = []
        /// How much the request counts; 0 only asks.
        public fileprivate(set) var hits: UInt64 = 1
        fileprivate var ownHits: UInt64?
    }

    /// How many descriptors a request may have, and entries a descriptor.
    public static let maximumCount = 32

    public private(set) var domain = 0..<0
    public private(set) var descriptors: [Descriptor] = []

    public init(_ bytes: Span<UInt8>, _ message: Range<Int>) throws(MalformedMessage) {
        var hits: UInt64 = 0
        var reader = WireReader(message)
        while let (number, value) = try reader.next(in: bytes) {
            switch number {
            case 1: domain = try value.range(of: "domain")
            case 2:
                guard descriptors.count < Self.maximumCount else { throw MalformedMessage("more than \(Self.maximumCount) descriptors") }
                descriptors.append(try Descriptor(bytes, value.range(of: "descriptors")))
            case 3: hits = try value.number(of: "hits_addend")
            default: continue
            }
        }
        for index in descriptors.indices { descriptors[index].hits = descriptors[index].ownHits ?? max(hits, 1) }
    }
}

extension RateLimitRequest.Descriptor {
    fileprivate init(_ bytes: Span<UInt8>, _ message: Range<Int>) throws(MalformedMessage) {
        var reader = WireReader(message)
        while let (number, value) = try reader.next(in: bytes) {
            switch number {
            case 1:
                guard entries.count < RateLimitRequest.maximumCount else {
                    throw MalformedMessage("a descriptor of more than \(RateLimitRequest.maximumCount) entries")
                }
                entries.append(try RateLimitRequest.Entry(bytes, value.range(of: "entries")))
            case 3:
                // A UInt64Value: there even where it says 0.
                ownHits = 0
                var wrapper = WireReader(try value.range(of: "hits_addend"))
                while let (number, value) = try wrapper.next(in: bytes) {
                    if number == 1 { ownHits = try value.number(of: "hits_addend") }
                }
            default: continue
            }
        }
    }
}

extension RateLimitRequest.Entry {
    fileprivate init(_ bytes: Span<UInt8>, _ message: Range<Int>) throws(MalformedMessage) {
        var reader = WireReader(message)
        while let (number, value) = try reader.next(in: bytes) {
            switch number {
            case 1: key = try value.range(of: "key")
            case 2: self.value = try value.range(of: "value")
            default: continue
            }
        }
    }
}
