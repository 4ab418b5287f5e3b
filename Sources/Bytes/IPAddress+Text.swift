extension ByteBuffer {
    /// Appends an IP address as text: an IPv4 address dotted, an IPv6 address in its canonical form (RFC 5952).
    public func append(_ address: IPAddress) {
        let bytes = address.bytes
        append(address: address.isIPv4 ? bytes.span.extracting(12..<16) : bytes.span)
    }

    /// Appends an IP address as text: four bytes as IPv4, sixteen as IPv6 in its canonical form (RFC 5952).
    public func append(address: Span<UInt8>) {
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

    func append(hexadecimal number: UInt16) {
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
