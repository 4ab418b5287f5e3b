/// Which of a cluster's 16,384 slots a key is in (Redis Cluster specification, "Key distribution model").
enum RedisSlot {
    static let count = 16384

    /// Of a key as Redis has it: by what stands between its first `{` and the next `}`, where that is anything.
    static func of(_ key: [UInt8]) -> Int {
        if let open = key.firstIndex(of: UInt8(ascii: "{")), let close = key[open...].firstIndex(of: UInt8(ascii: "}")),
            close > open + 1
        {
            return Int(checksum(key[(open + 1)..<close])) & (count - 1)
        }
        return Int(checksum(key[...])) & (count - 1)
    }

    /// What a counter's keys begin with in a cluster: all windows of one counter are in one slot, whatever is in its name.
    ///
    /// `{`, `}` and `%` in the name are escaped as in a URL, so that the braces are the only ones and no two names become one.
    static func tagged(_ name: [UInt8]) -> [UInt8] {
        var tagged: [UInt8] = [UInt8(ascii: "{")]
        for byte in name {
            switch byte {
            case UInt8(ascii: "{"): tagged += Array("%7B".utf8)
            case UInt8(ascii: "}"): tagged += Array("%7D".utf8)
            case UInt8(ascii: "%"): tagged += Array("%25".utf8)
            default: tagged.append(byte)
            }
        }
        return tagged + [UInt8(ascii: "}")]
    }

    /// CRC-16/XMODEM.
    private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt16 {
        var checksum: UInt16 = 0
        for byte in bytes { checksum = checksum << 8 ^ table[Int(UInt8(checksum >> 8) ^ byte)] }
        return checksum
    }

    private static let table: [UInt16] = (0..<256).map { index in
        (0..<8).reduce(UInt16(index) << 8) { value, _ in value & 0x8000 != 0 ? value << 1 ^ 0x1021 : value << 1 }
    }
}
