import Bytes

/// Reads a field's value into ``ForwardedElement``s, the nearest proxy's last. Several fields of a name are one list (RFC 9110 §5.3):
/// read them in their order.
public enum ForwardedList {
    /// More of them than any chain of proxies has.
    private static let maximumElements = 64

    /// Reads a value of `X-Forwarded-For`: nodes with commas between them.
    ///
    /// - Returns: false where there are too many.
    public static func read(addresses range: ByteRange, of bytes: Span<UInt8>, into elements: inout [ForwardedElement]) -> Bool {
        var start = range.start
        while start < range.end {
            var end = start
            while end < range.end, bytes[end] != UInt8(ascii: ",") { end &+= 1 }
            let node = bytes.withoutBlanks(start..<end)
            // An element may be empty (RFC 9110 §5.6.1.2).
            if !node.isEmpty { elements.append(ForwardedElement(node: ByteRange(node))) }
            start = end &+ 1
        }
        return elements.count <= maximumElements
    }

    /// Reads a value of `Forwarded`: elements with commas between them, each made of pairs with semicolons between them
    /// (RFC 7239 §4).
    ///
    /// - Returns: false where it is malformed, or there are too many.
    public static func read(forwarded range: ByteRange, of bytes: Span<UInt8>, into elements: inout [ForwardedElement]) -> Bool {
        var position = range.start
        var element = ForwardedElement()
        var pairs = 0
        while true {
            position = skipBlanks(position, range.end, bytes)
            if position < range.end, bytes[position] != UInt8(ascii: ","), bytes[position] != UInt8(ascii: ";") {
                guard let next = readPair(at: position, range.end, bytes, into: &element) else { return false }
                position = skipBlanks(next, range.end, bytes)
                pairs &+= 1
            }
            guard position < range.end else { break }
            switch bytes[position] {
            case UInt8(ascii: ";"): break
            case UInt8(ascii: ","):
                if pairs > 0 { elements.append(element) }
                (element, pairs) = (ForwardedElement(), 0)
            default: return false
            }
            position &+= 1
        }
        if pairs > 0 { elements.append(element) }
        return elements.count <= maximumElements
    }

    /// Reads `token=value`, and returns where it ends; nil where it is none, or says a second time what was said.
    private static func readPair(
        at start: Int, _ end: Int, _ bytes: Span<UInt8>, into element: inout ForwardedElement
    ) -> Int? {
        let nameEnd = endOfToken(start, end, bytes)
        guard nameEnd > start, nameEnd < end, bytes[nameEnd] == UInt8(ascii: "="),
            let value = value(at: nameEnd &+ 1, end, bytes)
        else { return nil }
        let name = bytes.extracting(start..<nameEnd)
        if name.equalsIgnoringCase("for") {
            guard element.node.isEmpty else { return nil }
            element.node = value.range
        } else if name.equalsIgnoringCase("host") {
            guard element.host.isEmpty else { return nil }
            element.host = value.range
        } else if name.equalsIgnoringCase("proto") {
            guard element.scheme.isEmpty else { return nil }
            element.scheme = value.range
        }
        return value.end
    }

    /// A token, or what stands between quotes. No node, host or scheme needs an escape, so none is accepted.
    private static func value(at start: Int, _ end: Int, _ bytes: Span<UInt8>) -> (range: ByteRange, end: Int)? {
        guard start < end, bytes[start] == UInt8(ascii: "\"") else {
            let tokenEnd = endOfToken(start, end, bytes)
            return tokenEnd > start ? (ByteRange(start..<tokenEnd), tokenEnd) : nil
        }
        var position = start &+ 1
        while position < end, bytes[position] != UInt8(ascii: "\"") {
            guard bytes[position] != UInt8(ascii: "\\") else { return nil }
            position &+= 1
        }
        guard position < end, position > start &+ 1 else { return nil }
        return (ByteRange(start &+ 1..<position), position &+ 1)
    }

    private static func endOfToken(_ start: Int, _ end: Int, _ bytes: Span<UInt8>) -> Int {
        var position = start
        while position < end, Characters.isToken(bytes[position]) { position &+= 1 }
        return position
    }

    private static func skipBlanks(_ start: Int, _ end: Int, _ bytes: Span<UInt8>) -> Int {
        var position = start
        while position < end, bytes[position].isBlank { position &+= 1 }
        return position
    }
}
