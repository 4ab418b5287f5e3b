/// An IP address. An IPv4 address mapped into IPv6 (`::ffff:192.0.2.7`) is the IPv4 address.
public struct IPAddress: Sendable, Hashable {
    /// The first eight bytes of the address, in the order of the network; 0 for IPv4.
    let high: UInt64
    /// The last eight bytes.
    let low: UInt64
    public let isIPv4: Bool

    /// Reads an address in its textual form (RFC 4291 §2.2): no brackets, no zone, no port.
    public init?(_ text: Span<UInt8>) {
        guard text.count <= 45 else { return nil }
        for index in text.indices where text[index] == UInt8(ascii: ":") {
            guard let groups = Self.groups(text) else { return nil }
            high = groups.high
            low = groups.low
            isIPv4 = groups.high == 0 && groups.low >> 32 == 0xffff
            return
        }
        guard let address = Self.dotted(text) else { return nil }
        high = 0
        low = 0xffff_0000_0000 | UInt64(address)
        isIPv4 = true
    }

    /// The address whose bytes these are, in the order of the network: 4 of IPv4, 16 of IPv6. Nil for another number of them.
    public init?(bytes: Span<UInt8>) {
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        var (high, low): (UInt64, UInt64) = (0, 0)
        for index in bytes.indices {
            high = high << 8 | low >> 56
            low = low << 8 | UInt64(bytes[index])
        }
        isIPv4 = bytes.count == 4 || high == 0 && low >> 32 == 0xffff
        self.high = high
        self.low = bytes.count == 4 ? 0xffff_0000_0000 | low : low
    }

    /// The 16 bytes of the address in the order of the network, an IPv4 address mapped into IPv6 (RFC 4291 §2.5.5.2).
    public var bytes: InlineArray<16, UInt8> {
        InlineArray { index in
            UInt8(truncatingIfNeeded: (index < 8 ? high : low) >> UInt64(56 - index % 8 * 8))
        }
    }

    /// Appends what addresses are counted by: an IPv4 address, or the network of 64 bits of an IPv6 address, as in
    /// `2001:db8:0:1::/64`, since whoever has one address of that has them all. Equal for equal networks, however written.
    public func appendKey(to buffer: ByteBuffer) {
        guard !isIPv4 else {
            for shift: UInt64 in [24, 16, 8, 0] {
                buffer.append(decimal: Int(low >> shift & 0xff))
                if shift > 0 { buffer.append(UInt8(ascii: ".")) }
            }
            return
        }
        for shift: UInt64 in [48, 32, 16, 0] {
            buffer.append(hexadecimal: UInt16(truncatingIfNeeded: high >> shift))
            buffer.append(UInt8(ascii: ":"))
        }
        buffer.append(":/64")
    }

    // MARK: Reading

    /// Four decimal numbers up to 255 with dots between them. A leading zero is refused, as some readers take it for octal.
    private static func dotted(_ text: Span<UInt8>) -> UInt32? {
        var address: UInt32 = 0
        var (number, digits, dots): (UInt32, Int, Int) = (0, 0, 0)
        for index in text.indices {
            switch text[index] {
            case let byte where byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9"):
                guard digits == 0 || number > 0 else { return nil }
                number = number &* 10 &+ UInt32(byte &- UInt8(ascii: "0"))
                digits += 1
                guard number <= 255 else { return nil }
            case UInt8(ascii: "."):
                guard digits > 0, dots < 3 else { return nil }
                address = address << 8 | number
                (number, digits, dots) = (0, 0, dots + 1)
            default: return nil
            }
        }
        return dots == 3 && digits > 0 ? address << 8 | number : nil
    }

    /// Eight groups of up to four hexadecimal digits, `::` at most once for one or more of zero, the last two perhaps dotted.
    private static func groups(_ text: Span<UInt8>) -> (high: UInt64, low: UInt64)? {
        var groups = Groups()
        var gap: Int?
        var index = 0
        if text.count >= 2, text[0] == UInt8(ascii: ":") {
            guard text[1] == UInt8(ascii: ":") else { return nil }
            gap = 0
            index = 2
        }
        while index < text.count {
            let start = index
            var value: UInt64 = 0
            while index < text.count, let digit = text[index].hexadecimalValue {
                value = value << 4 | UInt64(digit)
                index &+= 1
                guard index &- start <= 4 else { return nil }
            }
            if index < text.count, text[index] == UInt8(ascii: ".") {
                guard let address = dotted(text.extracting(start..<text.count)) else { return nil }
                groups.append(UInt64(address >> 16))
                groups.append(UInt64(address & 0xffff))
                break
            }
            guard index > start else { return nil }
            groups.append(value)
            guard index < text.count else { break }
            guard text[index] == UInt8(ascii: ":"), index &+ 1 < text.count else { return nil }
            index &+= 1
            if text[index] == UInt8(ascii: ":") {
                guard gap == nil else { return nil }
                gap = groups.count
                index &+= 1
            }
        }
        return groups.filled(gap: gap)
    }

    /// Groups of 16 bits from the left, held in two words.
    private struct Groups {
        private(set) var count = 0
        private var high: UInt64 = 0
        private var low: UInt64 = 0

        mutating func append(_ group: UInt64) {
            high = high << 16 | low >> 48
            low = low << 16 | group
            count += 1
        }

        /// The eight groups, those left out put in behind the first `gap`.
        func filled(gap: Int?) -> (high: UInt64, low: UInt64)? {
            guard let gap else { return count == 8 ? (high, low) : nil }
            guard count < 8 else { return nil }
            let tailBits = (count - gap) * 16
            let tail = Self.lowBits(high, low, tailBits)
            let head = Self.shiftedLeft(high & ~Self.mask(tailBits - 64), low & ~Self.mask(tailBits), by: (8 - count) * 16)
            return (head.high | tail.high, head.low | tail.low)
        }

        /// The lowest `bits` of a word set: none for a number below 0, all from 64 on.
        private static func mask(_ bits: Int) -> UInt64 { bits >= 64 ? .max : bits <= 0 ? 0 : 1 << UInt64(bits) &- 1 }

        private static func lowBits(_ high: UInt64, _ low: UInt64, _ bits: Int) -> (high: UInt64, low: UInt64) {
            (high & mask(bits - 64), low & mask(bits))
        }

        private static func shiftedLeft(_ high: UInt64, _ low: UInt64, by bits: Int) -> (high: UInt64, low: UInt64) {
            // Swift's shifts give 0 beyond the width, and the other way round for a negative number.
            (high << bits | low >> (64 - bits), low << bits)
        }
    }
}
