/// All addresses that begin with the same bits: `10.0.0.0/8`, `2001:db8::/32`, or one address alone.
public struct IPNetwork: Sendable, Hashable {
    private let high: UInt64
    private let low: UInt64
    private let highMask: UInt64
    private let lowMask: UInt64

    /// Reads an address, and perhaps a slash and how many bits count. Nil also where bits behind those are set, since it can't be
    /// known then what was meant.
    public init?(_ text: Span<UInt8>) {
        var end = 0
        while end < text.count, text[end] != UInt8(ascii: "/") { end &+= 1 }
        guard let address = IPAddress(text.extracting(0..<end)) else { return nil }
        let width = address.isIPv4 ? 32 : 128
        var length = width
        if end < text.count {
            guard let number = Self.number(text.extracting(end + 1..<text.count)), number <= width else { return nil }
            length = number
        }
        // An IPv4 address is the last 32 bits of 128.
        let bits = length + 128 - width
        highMask = bits >= 64 ? .max : ~(.max >> UInt64(bits))
        lowMask = bits <= 64 ? 0 : bits >= 128 ? .max : ~(.max >> UInt64(bits - 64))
        (high, low) = (address.high, address.low)
        guard high & ~highMask == 0, low & ~lowMask == 0 else { return nil }
    }

    public func contains(_ address: IPAddress) -> Bool { address.high & highMask == high && address.low & lowMask == low }

    /// Up to three digits, no zero in front.
    private static func number(_ digits: Span<UInt8>) -> Int? {
        guard (1...3).contains(digits.count), digits.count == 1 || digits[0] != UInt8(ascii: "0") else { return nil }
        var number = 0
        for index in digits.indices {
            guard digits[index] >= UInt8(ascii: "0"), digits[index] <= UInt8(ascii: "9") else { return nil }
            number = number * 10 + Int(digits[index] - UInt8(ascii: "0"))
        }
        return number
    }
}
