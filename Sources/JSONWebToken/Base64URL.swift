/// base64url without padding (RFC 4648 §5, as RFC 7515 §2 uses it).
public enum Base64URL {
    /// Decodes strictly: no padding, no white space, and no set bit in the last character that no byte comes from, so that
    /// one value has one spelling. Nil for anything else.
    public static func decode(_ text: Span<UInt8>) -> [UInt8]? {
        guard text.count % 4 != 1 else { return nil }
        let values = values
        var isValid = true
        let bytes = [UInt8](capacity: text.count * 3 / 4) { output in
            var index = 0
            while index &+ 4 <= text.count {
                let (a, b) = (values[Int(text[index])], values[Int(text[index &+ 1])])
                let (c, d) = (values[Int(text[index &+ 2])], values[Int(text[index &+ 3])])
                guard a | b | c | d < 64 else { return isValid = false }
                output.append(a << 2 | b >> 4)
                output.append(b << 4 | c >> 2)
                output.append(c << 6 | d)
                index &+= 4
            }
            guard index < text.count else { return }
            // Two characters for one byte, or three for two.
            let (a, b) = (values[Int(text[index])], values[Int(text[index + 1])])
            let c = index + 2 < text.count ? values[Int(text[index + 2])] : 0
            let isShort = index + 2 == text.count
            guard a | b | c < 64, (isShort ? b & 0x0f : c & 0x03) == 0 else { return isValid = false }
            output.append(a << 2 | b >> 4)
            if !isShort { output.append(b << 4 | c >> 2) }
        }
        return isValid ? bytes : nil
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
