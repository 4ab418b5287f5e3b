import Bytes

/// What a name and a value may be made of, and which names no verdict may touch.
public enum FieldRules {
    /// Whether `bytes` are a header name as this protocol writes it: a token (RFC 9110 §5.6.2) in lower case, 1 to 255
    /// bytes.
    public static func isHeaderName(_ bytes: Span<UInt8>) -> Bool {
        guard bytes.count > 0, bytes.count <= ProtocolLimits.headerNameBytes else { return false }
        if areLettersAndHyphens(0..<bytes.count, in: bytes) { return true }
        var isValid = true
        for index in bytes.indices { isValid = isLowerCaseToken(bytes[index]) && isValid }
        return isValid
    }

    /// Whether `bytes` may stand as a field value (RFC 9110 §5.5): no control byte but the tab, no blank at either end. May
    /// be empty.
    public static func isHeaderValue(_ bytes: Span<UInt8>) -> Bool { isHeaderValue(0..<bytes.count, in: bytes) }

    /// As ``isHeaderValue(_:)``, for what stands in `range`.
    @inline(__always)
    static func isHeaderValue(_ range: Range<Int>, in bytes: Span<UInt8>) -> Bool {
        guard !range.isEmpty else { return true }
        // Every HTTP reader cuts blanks off the ends, so a value that has some would not arrive as it was judged.
        guard !bytes[range.lowerBound].isBlank, !bytes[range.upperBound &- 1].isBlank else { return false }
        let (space, tab, delete) = (SIMD16<UInt8>(repeating: 0x20), SIMD16<UInt8>(repeating: 0x09), SIMD16<UInt8>(repeating: 0x7F))
        return !bytes.contains(in: range) { (($0 .< space) .& ($0 .!= tab)) .| ($0 .== delete) }
    }

    /// Whether `bytes` are a stable reason or error code: lower-case letters, digits and hyphens, 1 to 64 bytes.
    public static func isReason(_ bytes: Span<UInt8>) -> Bool {
        guard bytes.count > 0, bytes.count <= ProtocolLimits.reasonBytes else { return false }
        let (zero, digits) = (SIMD16(repeating: UInt8(ascii: "0")), SIMD16<UInt8>(repeating: 10))
        return !bytes.contains(in: 0..<bytes.count) { .!(areLettersOrHyphens($0) .| ($0 &- zero .< digits)) }
    }

    /// Whether a verdict may set or remove the header `name`, on a request or a response.
    ///
    /// The names that frame a message, manage its connection or choose its host are the proxy's alone. A name that a
    /// backend may fold into one of them (`content_length`) counts as that name.
    ///
    /// - Parameter name: a name that ``isHeaderName(_:)`` accepts.
    public static func mayBeOperatedOn(_ name: Span<UInt8>) -> Bool {
        guard name.count > 0, beginsAsReserved(name) else { return true }
        guard !areLettersAndHyphens(0..<name.count, in: name) else { return !isReserved(name) }
        var plain: [UInt8] = []
        for index in name.indices {
            plain.append(name[index].foldedInHeaderName)
        }
        return !isReserved(plain.span)
    }

    /// Whether a header name stands in `range`, of letters and hyphens alone as nearly all are, that ``mayBeOperatedOn(_:)`` accepts.
    @inline(__always)
    static func isPlainAndFree(_ range: Range<Int>, in bytes: Span<UInt8>) -> Bool {
        guard !range.isEmpty, range.count <= ProtocolLimits.headerNameBytes, areLettersAndHyphens(range, in: bytes) else { return false }
        let name = bytes.extracting(range)
        return !beginsAsReserved(name) || !isReserved(name)
    }

    /// Whether it begins with a letter that a reserved name begins with: most names are told from those by that.
    private static func beginsAsReserved(_ name: Span<UInt8>) -> Bool {
        switch name[0] {
        case UInt8(ascii: "c"), UInt8(ascii: "e"), UInt8(ascii: "h"), UInt8(ascii: "k"), UInt8(ascii: "p"), UInt8(ascii: "t"), UInt8(ascii: "u"): true
        default: false
        }
    }

    /// Each of these names begins with a letter of ``beginsAsReserved(_:)``.
    private static func isReserved(_ name: Span<UInt8>) -> Bool {
        if name.count >= 6, name[0] == UInt8(ascii: "p"), name.extracting(0..<6).equals("proxy-") { return true }
        switch name.count {
        case 2: return name.equals("te")
        case 4: return name.equals("host")
        case 6: return name.equals("expect")
        case 7: return name.equals("trailer") || name.equals("upgrade")
        case 10: return name.equals("connection") || name.equals("keep-alive")
        case 14: return name.equals("content-length") || name.equals("http2-settings")
        case 17: return name.equals("transfer-encoding")
        default: return false
        }
    }

    /// Whether `bytes` are a token (RFC 9110 §5.6.2).
    public static func isToken(_ bytes: Span<UInt8>) -> Bool {
        guard bytes.count > 0 else { return false }
        for index in bytes.indices {
            let byte = bytes[index]
            let isUpper = byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z")
            if !isUpper && !isLowerCaseToken(byte) { return false }
        }
        return true
    }

    /// Whether all that stands in `range` are lower-case letters and hyphens, as of nearly all names.
    @inline(__always)
    private static func areLettersAndHyphens(_ range: Range<Int>, in bytes: Span<UInt8>) -> Bool {
        !bytes.contains(in: range) { .!areLettersOrHyphens($0) }
    }

    /// Whether all bytes are visible ASCII: what a target and an authority are made of.
    static func isVisible(_ bytes: Span<UInt8>) -> Bool {
        var invalid: UInt8 = 0
        for index in bytes.indices {
            let isBelow: UInt8 = bytes[index] < 0x21 ? 1 : 0
            let isAbove: UInt8 = bytes[index] > 0x7E ? 1 : 0
            invalid |= isBelow | isAbove
        }
        return invalid == 0
    }

    /// Whether no byte is a control character of ASCII.
    static func isPrintable(_ bytes: Span<UInt8>) -> Bool {
        for index in bytes.indices where bytes[index] < 0x20 || bytes[index] == 0x7F { return false }
        return true
    }

    /// Whether `bytes` may stand behind a target's question mark and reach the upstream as they are.
    static func isQuery(_ bytes: Span<UInt8>) -> Bool {
        guard isVisible(bytes) else { return false }
        for index in bytes.indices where bytes[index] == UInt8(ascii: "#") { return false }
        return true
    }

    /// Whether `bytes` could be the text of an IP address, or are empty, as for a peer on a Unix socket.
    static func isAddress(_ bytes: Span<UInt8>) -> Bool {
        guard bytes.count <= ProtocolLimits.peerAddressBytes else { return false }
        for index in bytes.indices {
            switch bytes[index] {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
                UInt8(ascii: "A")...UInt8(ascii: "F"), UInt8(ascii: ":"), UInt8(ascii: "."):
                continue
            default: return false
            }
        }
        return true
    }

    /// The bytes of a lower-case token, a bit each: names are judged several times a request, and a bit test has no branch.
    private static let tokenBelow64: UInt64 = 0x03FF_6CFA_0000_0000
    private static let tokenFrom64: UInt64 = 0x57FF_FFFF_C000_0000

    @inline(__always)
    private static func isLowerCaseToken(_ byte: UInt8) -> Bool {
        let bits = byte < 64 ? tokenBelow64 : tokenFrom64
        return byte < 128 && bits >> UInt64(byte & 63) & 1 == 1
    }
}

/// Of each byte whether it is a lower-case letter or a hyphen.
@inline(__always)
private func areLettersOrHyphens(_ bytes: SIMD16<UInt8>) -> SIMDMask<SIMD16<Int8>> {
    let (first, letters, hyphen) = (SIMD16(repeating: UInt8(ascii: "a")), SIMD16<UInt8>(repeating: 26), SIMD16(repeating: UInt8(ascii: "-")))
    return (bytes &- first .< letters) .| (bytes .== hyphen)
}
