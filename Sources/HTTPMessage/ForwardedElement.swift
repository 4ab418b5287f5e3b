import Bytes

/// One element of `X-Forwarded-For` or `Forwarded`: what one proxy says of whom it heard the request from.
public struct ForwardedElement {
    /// The client's address, or a stand-in for it, as written but for quotes.
    public var node = ByteRange.empty
    public var host = ByteRange.empty
    public var scheme = ByteRange.empty

    init(node: ByteRange = .empty) { self.node = node }

    /// Whom a node names.
    public enum Node: Equatable {
        case address(IPAddress)
        /// The proxy doesn't know, or doesn't tell (RFC 7239 §6.2, §6.3).
        case hidden
    }

    /// Who it is; nil where it is nobody, which no proxy writes.
    ///
    /// - Parameter isForwarded: whether the field is `Forwarded`, where an IPv6 address stands in brackets (RFC 7239 §6).
    public static func node(_ text: Span<UInt8>, isForwarded: Bool) -> Node? {
        if text.equalsIgnoringCase("unknown") { return .hidden }
        if isForwarded, text.count > 1, text[0] == UInt8(ascii: "_") { return isObfuscated(text) ? .hidden : nil }
        guard text.count > 0, text[0] == UInt8(ascii: "[") else {
            if !isForwarded || !text.hasColon, let address = IPAddress(text) { return .address(address) }
            return withoutPort(text, isForwarded).flatMap { $0.isIPv4 ? .address($0) : nil }
        }
        var end = 1
        while end < text.count, text[end] != UInt8(ascii: "]") { end &+= 1 }
        guard end < text.count, isPort(text.extracting(end + 1..<text.count), isForwarded),
            let address = IPAddress(text.extracting(1..<end)), text.extracting(1..<end).hasColon
        else { return nil }
        return .address(address)
    }

    private static func withoutPort(_ text: Span<UInt8>, _ isForwarded: Bool) -> IPAddress? {
        var end = 0
        while end < text.count, text[end] != UInt8(ascii: ":") { end &+= 1 }
        return isPort(text.extracting(end..<text.count), isForwarded) ? IPAddress(text.extracting(0..<end)) : nil
    }

    /// Nothing, or a colon and a port; in `Forwarded` it may be obfuscated as well.
    private static func isPort(_ text: Span<UInt8>, _ isForwarded: Bool) -> Bool {
        guard text.count > 0 else { return true }
        guard text.count > 1, text[0] == UInt8(ascii: ":") else { return false }
        let port = text.extracting(1..<text.count)
        if isForwarded, port[0] == UInt8(ascii: "_") { return isObfuscated(port) }
        guard port.count <= 5 else { return false }
        for index in port.indices where port[index] < UInt8(ascii: "0") || port[index] > UInt8(ascii: "9") { return false }
        return true
    }

    /// `_` and one or more letters, digits, dots, `_` and `-`.
    private static func isObfuscated(_ text: Span<UInt8>) -> Bool {
        guard text.count > 1 else { return false }
        for index in text.indices {
            switch text[index] {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                continue
            default: return false
            }
        }
        return true
    }
}

extension Span where Element == UInt8 {
    fileprivate var hasColon: Bool {
        for index in indices where self[index] == UInt8(ascii: ":") { return true }
        return false
    }
}
