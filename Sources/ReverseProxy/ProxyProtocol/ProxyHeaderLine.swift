import Bytes

/// Version 1 of the PROXY protocol's header (§2.1): `PROXY TCP4 192.0.2.7 198.51.100.1 56324 443` and CRLF.
enum ProxyHeaderLine {
    private static let maximumBytes = 107

    /// - Parameter bytes: begin with `PROXY` and a blank.
    static func read(_ bytes: Span<UInt8>) -> ProxyHeader.Reading {
        var end = 0
        while end < min(bytes.count, maximumBytes), bytes[end] != 0x0D, bytes[end] != 0x0A { end &+= 1 }
        guard end < min(bytes.count, maximumBytes) else {
            return bytes.count < maximumBytes ? .needsMoreBytes : .malformed("a PROXY line longer than \(maximumBytes) bytes")
        }
        guard bytes[end] == 0x0D else { return .malformed("a PROXY line that does not end with CRLF") }
        guard end &+ 1 < bytes.count else { return .needsMoreBytes }
        guard bytes[end &+ 1] == 0x0A else { return .malformed("a PROXY line that does not end with CRLF") }
        guard let source = source(bytes.extracting(6..<end)) else { return .malformed("a PROXY line that is malformed") }
        return .complete(source, byteCount: end &+ 2)
    }

    /// - Parameter rest: what stands behind `PROXY` and its blank.
    private static func source(_ rest: Span<UInt8>) -> ProxyHeader.Source? {
        let words = words(rest)
        let family = rest.extracting(words[0])
        // Whatever else is on such a line is to be ignored.
        if family.equals("UNKNOWN") { return .unknown }
        guard words.count == 5, family.equals("TCP4") || family.equals("TCP6"),
            let source = end(rest.extracting(words[1]), rest.extracting(words[3]), isIPv6: family.equals("TCP6")),
            let destination = end(rest.extracting(words[2]), rest.extracting(words[4]), isIPv6: family.equals("TCP6"))
        else { return nil }
        return .client(source, to: destination)
    }

    private static func end(_ address: Span<UInt8>, _ port: Span<UInt8>, isIPv6: Bool) -> ProxyHeader.End? {
        guard hasColon(address) == isIPv6, let address = IPAddress(address), let port = Self.port(port) else { return nil }
        return ProxyHeader.End(address: address, port: port)
    }

    /// Where the words lie, one at least, with exactly one blank between them; more than six are not told apart.
    private static func words(_ text: Span<UInt8>) -> [Range<Int>] {
        var words: [Range<Int>] = []
        var start = 0
        for index in text.indices where text[index] == 0x20 && words.count < 6 {
            words.append(start..<index)
            start = index &+ 1
        }
        words.append(start..<text.count)
        return words
    }

    private static func hasColon(_ text: Span<UInt8>) -> Bool {
        for index in text.indices where text[index] == UInt8(ascii: ":") { return true }
        return false
    }

    /// Without a zero in front.
    private static func port(_ digits: Span<UInt8>) -> UInt16? {
        guard (1...5).contains(digits.count), digits.count == 1 || digits[0] != UInt8(ascii: "0") else { return nil }
        var port = 0
        for index in digits.indices {
            guard digits[index] >= UInt8(ascii: "0"), digits[index] <= UInt8(ascii: "9") else { return nil }
            port = port * 10 + Int(digits[index] - UInt8(ascii: "0"))
        }
        return UInt16(exactly: port)
    }
}
