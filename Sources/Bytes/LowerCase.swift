extension UInt8 {
    /// This letter of ASCII in lower case; any other byte as it is.
    @inlinable public var lowercasedASCII: UInt8 {
        self >= UInt8(ascii: "A") && self <= UInt8(ascii: "Z") ? self | 0x20 : self
    }
}

extension String {
    /// With the letters A to Z in lower case, and all else as it is: `lowercased()` makes ASCII letters of some that are none, U+212A for one.
    public var lowercasedASCII: String { String(decoding: utf8.map(\.lowercasedASCII), as: UTF8.self) }
}
