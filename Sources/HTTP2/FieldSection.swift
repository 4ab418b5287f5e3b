import Bytes

/// The fields of one header section that comes in, in their order, in one buffer that serves section after section.
public final class FieldSection {
    /// Of each field: how long its name and its value are, four bytes each, and both of them.
    private let buffer = ByteBuffer(capacity: usualBytes)
    private var fieldCount = 0
    /// Whether a field has been left out, and all behind it, since the section would have been larger than it may be.
    private(set) var isTooLarge = false

    private static let lengthsByteCount = 8
    private static let usualBytes = 512

    /// What the ranges of ``fields`` lie in.
    public var bytes: Span<UInt8> {
        @_lifetime(borrow self) get {
            let buffer = buffer
            let bytes = buffer.bytes
            return unsafe _overrideLifetime(bytes, borrowing: self)
        }
    }

    public var fields: Fields { Fields(buffer) }

    /// How large the section is for the peer's limit: its bytes, and 32 for each field (RFC 9113 §6.5.2).
    var accountedByteCount: Int { buffer.count + (32 - Self.lengthsByteCount) * fieldCount }

    /// How many bytes of storage are kept.
    var capacity: Int { buffer.capacity }

    /// The value of the first field of the name; nil where there is none.
    ///
    /// - Parameter name: in lower case. A pseudo-header field's is looked for no further than those go, which come first (RFC 9113 §8.3).
    public func first(_ name: StaticString) -> Range<Int>? { fields.first(name, in: bytes) }

    /// Whether there is a field of the name, and its value is this.
    public func has(_ name: StaticString, _ value: StaticString) -> Bool {
        guard let range = first(name) else { return false }
        return bytes.extracting(range).equals(value)
    }

    /// - Parameter maximumBytes: what the section may be accounted for with; ``isTooLarge`` where it would be more.
    func append(_ name: Span<UInt8>, _ value: Span<UInt8>, maximumBytes: Int) {
        guard !isTooLarge, accountedByteCount + name.count + value.count + 32 <= maximumBytes else { return isTooLarge = true }
        buffer.append(bigEndian: UInt32(name.count))
        buffer.append(bigEndian: UInt32(value.count))
        buffer.append(name)
        buffer.append(value)
        fieldCount &+= 1
    }

    /// Lets go of storage that nearly no section needs, and of the fields.
    func shrink() {
        removeAll()
        if capacity > Self.usualBytes { buffer.exchangeStorage(with: ByteBuffer(capacity: Self.usualBytes)) }
    }

    func removeAll() {
        buffer.clear()
        fieldCount = 0
        isTooLarge = false
    }

    /// Walks the fields. Good until the section changes.
    public struct Fields: Sequence, IteratorProtocol {
        private let buffer: ByteBuffer
        private var position = 0

        fileprivate init(_ buffer: ByteBuffer) { self.buffer = buffer }

        @inline(__always)
        public mutating func next() -> FieldList.Field? {
            let buffer = buffer
            let bytes = buffer.bytes
            guard position < bytes.count else { return nil }
            let nameStart = position + FieldSection.lengthsByteCount
            let valueStart = nameStart + Int(bytes.bigEndianNumber(at: position))
            let valueEnd = valueStart + Int(bytes.bigEndianNumber(at: position + 4))
            position = valueEnd
            return FieldList.Field(name: nameStart..<valueStart, value: valueStart..<valueEnd)
        }
    }
}

extension Span where Element == UInt8 {
    @inline(__always)
    fileprivate func bigEndianNumber(at index: Int) -> UInt32 {
        let number = extracting(index..<index + 4)
        return UInt32(bigEndian: unsafe number.bytes.unsafeLoadUnaligned(as: UInt32.self))
    }
}
