import Bytes

/// The name of a header that a verdict may set or remove: a token in lower case that is not the proxy's own.
public struct HeaderName: Sendable, Hashable, CustomStringConvertible {
    public let bytes: [UInt8]

    public init(_ text: String) throws(RuleMistake) {
        let bytes = try Self.token(text)
        guard !Self.isReserved(bytes) else {
            throw RuleMistake("no rule may touch the header \(quoted(text)), which the proxy decides: it frames the message, manages the connection or chooses the host")
        }
        self.bytes = bytes
    }

    public var description: String { String(decoding: bytes, as: UTF8.self) }

    /// The bytes of a header's name.
    static func token(_ text: String) throws(RuleMistake) -> [UInt8] {
        let bytes = Array(text.utf8)
        guard (1...RuleLimits.headerNameBytes).contains(bytes.count), bytes.allSatisfy({ Characters.isToken($0) && !Characters.isUpper($0) })
        else {
            throw RuleMistake("\(quoted(text)) is no header name: accepted is a token of 1 to \(RuleLimits.headerNameBytes) bytes in lower case, as in x-user-id")
        }
        return bytes
    }

    /// Whether the protocol forbids operations on the name, or on one that a backend may fold it into (`content_length`).
    private static func isReserved(_ name: [UInt8]) -> Bool {
        let folded = name.map(\.foldedInHeaderName)
        return folded.starts(with: "proxy-".utf8) || reserved.contains(folded)
    }

    private static let reserved = Set(
        [
            "connection", "content-length", "expect", "host", "http2-settings", "keep-alive", "te", "trailer", "transfer-encoding",
            "upgrade",
        ].map { Array($0.utf8) })
}

/// What the value of a header may be.
enum HeaderValue {
    /// Whether a value reaches its reader as it is: no control byte, which might begin a second header, and no blank at an end,
    /// which a reader would take off (RFC 9110 §5.5) and so see another value.
    static func isFit(_ value: Span<UInt8>) -> Bool {
        guard value.count > 0 else { return true }
        guard value[0] != UInt8(ascii: " "), value[value.count - 1] != UInt8(ascii: " ") else { return false }
        for index in value.indices where value[index] < 0x20 || value[index] == 0x7f { return false }
        return true
    }
}
