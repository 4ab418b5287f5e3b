extension String {
    /// With the letters A to Z in lower case, and all else as it is: `lowercased()` makes ASCII letters of some that are none, U+212A for one.
    public var lowercasedASCII: String {
        String(decoding: utf8.map { $0 >= UInt8(ascii: "A") && $0 <= UInt8(ascii: "Z") ? $0 | 0x20 : $0 }, as: UTF8.self)
    }
}
