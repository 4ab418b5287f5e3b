/// A language that clients of the policy socket speak. In each of them the client speaks first, and its first bytes tell which it is.
public enum Dialect: String, CaseIterable, Sendable {
    /// Our own protocol, protocol.md.
    case gatehouse
    /// HTTP/1.1: nginx, Traefik, Caddy, Envoy.
    case http
    /// HTTP/2 with prior knowledge: Envoy and its kin.
    case grpc
    /// HAProxy's Stream Processing Offload Protocol.
    case spop

    /// What a client may name that asks for a protocol over TLS (ALPN); our own protocol and SPOP have no name there.
    static func protocols(of dialects: [Dialect]) -> [String] {
        (dialects.contains(.grpc) ? ["h2"] : []) + (dialects.contains(.http) ? ["http/1.1"] : [])
    }

    /// What a look at a connection's first bytes may find.
    enum Recognition: Equatable, Sendable {
        case dialect(Dialect)
        case needsMoreBytes
        /// The first byte is the beginning of none.
        case unknown
    }

    /// - Parameter bytes: what has been received, from the connection's first byte.
    static func recognise(_ bytes: Span<UInt8>) -> Recognition {
        guard bytes.count > 0 else { return .needsMoreBytes }
        switch bytes[0] {
        case 0xC1: return .dialect(.gatehouse)   // a HELLO
        case 0x00: return .dialect(.spop)   // the length of a frame below 16 MiB
        case UInt8(ascii: "P"):
            // No HTTP/1.1 method is PRI: the name is kept for this (RFC 9113 §11.6).
            let preface: [UInt8] = [0x50, 0x52, 0x49, 0x20]
            for index in 0..<min(bytes.count, preface.count) where bytes[index] != preface[index] { return .dialect(.http) }
            return bytes.count < preface.count ? .needsMoreBytes : .dialect(.grpc)
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): return .dialect(.http)
        default: return .unknown
        }
    }
}
