import Bytes

/// IP addresses as text.
enum AddressText {
    /// Whether `text` is an IPv4 address of four numbers, or an IPv6 address without a zone (RFC 4291 §2.2): and so no address with
    /// a port, which would be another client's at each connection.
    static func isAddress(_ text: Span<UInt8>) -> Bool {
        for index in text.indices where text[index] == UInt8(ascii: ":") { return isIPv6(text) }
        return isIPv4(text)
    }

    private static func isIPv4(_ text: Span<UInt8>) -> Bool {
        var (numbers, number, digits) = (1, 0, 0)
        for index in text.indices {
            switch text[index] {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                // A leading zero would make it octal to some readers.
                guard digits == 0 || number > 0 else { return false }
                number = number * 10 + Int(text[index] - UInt8(ascii: "0"))
                digits += 1
                guard number <= 255 else { return false }
            case UInt8(ascii: ".") where digits > 0: (numbers, number, digits) = (numbers + 1, 0, 0)
            default: return false
            }
        }
        return numbers == 4 && digits > 0
    }

    private static func isIPv6(_ text: Span<UInt8>) -> Bool {
        var (groups, isCompressed, index) = (0, false, 0)
        if text.count >= 2, text[0] == UInt8(ascii: ":"), text[1] == UInt8(ascii: ":") { (isCompressed, index) = (true, 2) }
        while index < text.count {
            let start = index
            while index < text.count, isHexadecimal(text[index]) { index += 1 }
            if index < text.count, text[index] == UInt8(ascii: ".") {
                groups += 2
                return isIPv4(text.extracting(start..<text.count)) && (isCompressed ? groups < 8 : groups == 8)
            }
            guard index > start, index - start <= 4 else { return false }
            groups += 1
            guard index < text.count else { break }
            guard text[index] == UInt8(ascii: ":"), index + 1 < text.count else { return false }
            index += 1
            if text[index] == UInt8(ascii: ":") {
                guard !isCompressed else { return false }
                (isCompressed, index) = (true, index + 1)
            }
        }
        return isCompressed ? groups < 8 : groups == 8
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"): true
        default: false
        }
    }
}

extension ByteBuffer {
    /// Appends an IP address as text: four bytes as IPv4, sixteen as IPv6 in its canonical form (RFC 5952).
    func append(address: Span<UInt8>) {
        guard address.count == 16 else { return append(dotted: address) }
        if isMapped(address) {
            append("::ffff:")
            return append(dotted: address.extracting(12..<16))
        }
        let zeros = longestZeros(address)
        var group = 0
        while group < 8 {
            if group == zeros.lowerBound, !zeros.isEmpty {
                append("::")
                group = zeros.upperBound
                continue
            }
            if group > 0, group != zeros.upperBound || zeros.isEmpty { append(UInt8(ascii: ":")) }
            append(hexadecimal: value(of: group, in: address))
            group += 1
        }
    }

    private func append(dotted address: Span<UInt8>) {
        for index in address.indices {
            if index > 0 { append(UInt8(ascii: ".")) }
            append(decimal: Int(address[index]))
        }
    }

    private func append(hexadecimal number: UInt16) {
        var isLeading = true
        for shift in stride(from: 12, through: 0, by: -4) {
            let digit = UInt8(truncatingIfNeeded: number >> UInt16(shift)) & 0xF
            isLeading = isLeading && digit == 0 && shift > 0
            if !isLeading { append(hexadecimalDigit: digit) }
        }
    }

    /// The first of the longest runs of two or more groups that are zero.
    private func longestZeros(_ address: Span<UInt8>) -> Range<Int> {
        var longest = 0..<0
        var start = 0
        for group in 0...8 {
            if group < 8, value(of: group, in: address) == 0 { continue }
            if group - start > max(longest.count, 1) { longest = start..<group }
            start = group + 1
        }
        return longest
    }

    private func isMapped(_ address: Span<UInt8>) -> Bool {
        for index in 0..<10 where address[index] != 0 { return false }
        return address[10] == 0xFF && address[11] == 0xFF
    }

    private func value(of group: Int, in address: Span<UInt8>) -> UInt16 {
        UInt16(address[group * 2]) << 8 | UInt16(address[group * 2 + 1])
    }
}
