extension UInt8 {
    /// A space or a tab, which many texts have around what they say (RFC 9110 §5.6.3).
    @inlinable public var isBlank: Bool { self == 0x20 || self == 0x09 }
}

extension Span where Element == UInt8 {
    /// What is left of `range` without the blanks at either end.
    @inlinable public func withoutBlanks(_ range: Range<Int>) -> Range<Int> {
        var (start, end) = (range.lowerBound, range.upperBound)
        while start < end, self[start].isBlank { start &+= 1 }
        while end > start, self[end &- 1].isBlank { end &-= 1 }
        return start..<end
    }
}
