import Bytes

/// base64url without padding (RFC 4648 §5, as RFC 7515 §2 uses it).
public enum Base64URL {
    /// Decodes strictly: no padding, no white space, and no set bit in the last character that no byte comes from, so that
    /// one value has one spelling. Nil for anything else.
    public static func decode(_ text: Span<UInt8>) -> [UInt8]? {
        guard text.count % 4 != 1 else { return nil }
        var bytes = [UInt8](repeating: 0, count: text.count * 3 / 4)
        var room = bytes.mutableSpan
        return decode(text, to: &room) ? bytes : nil
    }

    /// Decodes as ``decode(_:)-(Span<UInt8>)`` does, to the end of `buffer`, where nothing is appended of anything else.
    static func decode(_ text: Span<UInt8>, to buffer: ByteBuffer) -> Bool {
        guard text.count % 4 != 1 else { return false }
        return buffer.append(byteCount: text.count * 3 / 4) { room in decode(text, to: &room) }
    }

    /// - Parameters:
    ///   - text: whose length is none that base64 can't have.
    ///   - room: of exactly as many bytes as there are in the text.
    private static func decode(_ text: Span<UInt8>, to room: inout MutableSpan<UInt8>) -> Bool {
        let values = values.span
        var seen: UInt8 = 0
        func value(_ index: Int) -> UInt32 {
            let value = unsafe values[unchecked: Int(text[unchecked: index])]
            seen |= value
            return UInt32(value)
        }
        let rest = text.count % 4
        let end = text.count &- rest
        var (index, place) = (0, 0)
        while index < end {
            let bits = value(index) << 18 | value(index &+ 1) << 12 | value(index &+ 2) << 6 | value(index &+ 3)
            unsafe room[unchecked: place] = UInt8(truncatingIfNeeded: bits >> 16)
            unsafe room[unchecked: place &+ 1] = UInt8(truncatingIfNeeded: bits >> 8)
            unsafe room[unchecked: place &+ 2] = UInt8(truncatingIfNeeded: bits)
            index &+= 4
            place &+= 3
        }
        if rest > 0 {
            // Two characters for one byte, or three for two.
            let bits = value(index) << 18 | value(index &+ 1) << 12 | (rest == 3 ? value(index &+ 2) << 6 : 0)
            guard bits & (rest == 3 ? 0xff : 0xffff) == 0 else { return false }
            room[place] = UInt8(truncatingIfNeeded: bits >> 16)
            if rest == 3 { room[place &+ 1] = UInt8(truncatingIfNeeded: bits >> 8) }
        }
        return seen < 64
    }

    public static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        var bits: UInt32 = 0
        var bitCount = 0
        for byte in bytes {
            bits = bits << 8 | UInt32(byte)
            bitCount += 8
            while bitCount >= 6 {
                bitCount -= 6
                text.append(alphabet[Int(bits >> UInt32(bitCount) & 0x3f)])
            }
            bits &= 1 << UInt32(bitCount) - 1
        }
        if bitCount > 0 { text.append(alphabet[Int(bits << UInt32(6 - bitCount) & 0x3f)]) }
        return String(decoding: text, as: UTF8.self)
    }

    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    /// What each character stands for; 64 for those that stand for nothing.
    private static let values: [UInt8] = (UInt8.min...UInt8.max).map { character in
        UInt8(alphabet.firstIndex(of: character) ?? 64)
    }
}
