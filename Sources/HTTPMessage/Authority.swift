import Bytes

/// Judges an authority without userinfo, as `Host` carries it (RFC 9110 §7.2, RFC 3986 §3.2).
public enum Authority {
    /// Whether `bytes` are `host [ ":" port ]`, the host not empty.
    public static func isValid(_ bytes: Span<UInt8>) -> Bool {
        guard bytes.count > 0 else { return false }
        let hostEnd = bytes[0] == UInt8(ascii: "[") ? endOfLiteral(bytes) : endOfName(bytes)
        guard let hostEnd, hostEnd > 0 else { return false }
        return hostEnd == bytes.count || isPort(bytes.extracting(hostEnd..<bytes.count))
    }

    /// Where the `]` of an IPv6 address has been passed; nil where it is none. Its inside is held to its alphabet only.
    private static func endOfLiteral(_ bytes: Span<UInt8>) -> Int? {
        var colons = 0
        for index in 1..<bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "]"): return colons >= 2 ? index &+ 1 : nil
            case UInt8(ascii: ":"): colons &+= 1
            case UInt8(ascii: "."): continue
            case let byte: guard byte.hexadecimalValue != nil else { return nil }
            }
        }
        return nil
    }

    private static func endOfName(_ bytes: Span<UInt8>) -> Int? {
        var index = 0
        while index < bytes.count {
            switch bytes[index] {
            case let byte where Characters.isNameCharacter(byte): index &+= 1
            case UInt8(ascii: ":"): return index
            case UInt8(ascii: "%"):
                guard index &+ 2 < bytes.count, bytes[index &+ 1].hexadecimalValue != nil,
                    bytes[index &+ 2].hexadecimalValue != nil
                else { return nil }
                index &+= 3
            default: return nil
            }
        }
        return index
    }

    /// `":" port`, the port 0 to 65535 in one to five digits.
    private static func isPort(_ bytes: Span<UInt8>) -> Bool {
        guard bytes[0] == UInt8(ascii: ":"), bytes.count > 1, bytes.count <= 6 else { return false }
        var port = 0
        for index in 1..<bytes.count {
            guard Characters.isDigit(bytes[index]) else { return false }
            port = port &* 10 &+ Int(bytes[index] &- UInt8(ascii: "0"))
        }
        return port <= 65_535
    }
}
