/// Where something lies in the bytes of a message. Offsets rather than a `Span`, so that a head outlives the buffer's lending.
public struct ByteRange: Sendable, Equatable {
    @usableFromInline let offset: UInt32
    @usableFromInline let length: UInt32

    @inlinable public init(_ range: Range<Int>) {
        offset = UInt32(truncatingIfNeeded: range.lowerBound)
        length = UInt32(truncatingIfNeeded: range.count)
    }

    public static let empty = ByteRange(0..<0)

    @inlinable public var start: Int { Int(offset) }
    @inlinable public var count: Int { Int(length) }
    @inlinable public var end: Int { start &+ count }
    @inlinable public var isEmpty: Bool { length == 0 }

    /// The bytes themselves. Traps where `message` is shorter than what was parsed.
    @_lifetime(copy message)
    @inlinable public func bytes(in message: Span<UInt8>) -> Span<UInt8> { message.extracting(start..<end) }
}
