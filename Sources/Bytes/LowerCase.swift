extension UInt8 {
    /// This letter of ASCII in lower case; any other byte as it is.
    @inlinable public var lowercasedASCII: UInt8 {
        self >= UInt8(ascii: "A") && self <= UInt8(ascii: "Z") ? self | 0x20 : self
    }
}

extension UInt64 {
    /// Eight bytes, as ``UInt8/lowercasedASCII`` makes each of them.
    var lowercasedASCII: UInt64 {
        let (ones, highBits): (UInt64, UInt64) = (0x0101_0101_0101_0101, 0x8080_8080_8080_8080)
        let low = self & ~highBits
        // A byte's high bit says: from A on, behind Z (Hacker's Delight, 6-1). No sum carries into the next byte.
        let fromA = low &+ ones &* (0x80 - 0x41)
        let behindZ = low &+ ones &* (0x7F - 0x5A)
        return self | ((fromA & ~behindZ & ~self & highBits) &>> 2)
    }
}

extension String {
    /// With the letters A to Z in lower case, and all else as it is: `lowercased()` makes ASCII letters of some that are none, U+212A for one.
    public var lowercasedASCII: String { String(decoding: utf8.map(\.lowercasedASCII), as: UTF8.self) }
}
