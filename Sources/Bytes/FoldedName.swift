extension UInt8 {
    /// This byte of a header's name as a backend may read it that takes `_` and `.` for `-`.
    @inlinable public var foldedInHeaderName: UInt8 {
        self == UInt8(ascii: "_") || self == UInt8(ascii: ".") ? UInt8(ascii: "-") : self
    }
}
