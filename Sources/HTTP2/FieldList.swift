import Bytes

/// The fields of one header or trailer section, in their order, in one piece of storage.
public struct FieldList: Sendable {
    /// Where a field's name and value lie in ``FieldList/bytes``.
    public struct Field: Sendable {
        public let name: Range<Int>
        public let value: Range<Int>

        public init(name: Range<Int>, value: Range<Int>) {
            self.name = name
            self.value = value
        }
    }

    public private(set) var bytes: [UInt8] = []
    public private(set) var fields: [Field] = []

    public init() {}

    /// With room for fields to come.
    public init(roomForFields count: Int) {
        fields.reserveCapacity(count)
        bytes.reserveCapacity(count * 32)
    }

    /// - Parameter fields: their names in lower case; pseudo-header fields first.
    public init(_ fields: [(name: StaticString, value: String)]) {
        for field in fields { append(field.name, Array(field.value.utf8).span) }
    }

    init(_ section: FieldSection) {
        let text = section.bytes
        for field in section.fields { append(text.extracting(field.name), text.extracting(field.value)) }
    }

    /// How large the section is for the peer's limit: its bytes, and 32 for each field (RFC 9113 §6.5.2).
    public var accountedByteCount: Int { bytes.count + 32 * fields.count }

    public var isEmpty: Bool { fields.isEmpty }

    public mutating func append(_ name: Span<UInt8>, _ value: Span<UInt8>) {
        let start = bytes.count
        unsafe name.withUnsafeBufferPointer { unsafe bytes.append(contentsOf: $0) }
        appendValue(value, ofNameAt: start)
    }

    public mutating func append(_ name: StaticString, _ value: Span<UInt8>) {
        let start = bytes.count
        name.withUTF8Buffer { text in unsafe bytes.append(contentsOf: text) }
        appendValue(value, ofNameAt: start)
    }

    /// The value of the first field of the name; nil where there is none.
    ///
    /// - Parameter name: in lower case. A pseudo-header field's is looked for no further than those go, which come first (RFC 9113 §8.3).
    public func first(_ name: StaticString) -> Range<Int>? { fields.first(name, in: bytes.span) }

    /// Whether there is a field of the name, and its value is this.
    public func has(_ name: StaticString, _ value: StaticString) -> Bool {
        guard let range = first(name) else { return false }
        return bytes.span.extracting(range).equals(value)
    }

    public mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        fields.removeAll(keepingCapacity: true)
    }

    /// Appends a field whose name may have capital letters, which HTTP/2 does not (RFC 9113 §8.2.1).
    public mutating func append(lowercasing name: Span<UInt8>, _ value: Span<UInt8>) {
        let start = bytes.count
        unsafe name.withUnsafeBufferPointer { unsafe bytes.append(contentsOf: $0) }
        var copy = bytes.mutableSpan
        for index in start..<copy.count { copy[index] = copy[index].lowercasedASCII }
        appendValue(value, ofNameAt: start)
    }

    private mutating func appendValue(_ value: Span<UInt8>, ofNameAt start: Int) {
        let valueStart = bytes.count
        unsafe value.withUnsafeBufferPointer { unsafe bytes.append(contentsOf: $0) }
        fields.append(Field(name: start..<valueStart, value: valueStart..<bytes.count))
    }
}

extension Sequence<FieldList.Field> {
    /// The value of the first field of the name; nil where there is none.
    ///
    /// - Parameter name: in lower case. A pseudo-header field's is looked for no further than those go, which come first (RFC 9113 §8.3).
    @inline(__always)
    func first(_ name: StaticString, in bytes: Span<UInt8>) -> Range<Int>? {
        let isPseudo = unsafe name.utf8Start[0] == UInt8(ascii: ":")
        for field in self {
            if field.name.count == name.utf8CodeUnitCount, bytes.extracting(field.name).equals(name) { return field.value }
            if isPseudo, field.name.isEmpty || bytes[field.name.lowerBound] != UInt8(ascii: ":") { return nil }
        }
        return nil
    }
}
