import Bytes

/// One change to a message's headers, as ranges of the verdict's payload.
public struct HeaderOperation: Sendable, Equatable {
    public enum Kind: UInt8, Sendable {
        /// Every field of the name is replaced by one with the value.
        case set = 1
        /// Every field of the name is taken out.
        case remove = 2
    }

    public let kind: Kind
    public let name: FieldRange
    /// Empty for ``Kind/remove``.
    public let value: FieldRange

    /// The next one with this tag that begins before `end`.
    ///
    /// - Parameter position: of a field; moved past the operation returned.
    @inline(__always)
    static func next(_ tag: UInt8, in payload: Span<UInt8>, from position: inout Int, to end: Int) -> HeaderOperation? {
        while position < end, let field = Field.at(position, in: payload) {
            position = field.end
            if field.tag == tag { return HeaderOperation(field, in: payload) }
        }
        return nil
    }

    /// Nil where it is neither set nor remove, or shorter than its name.
    @inline(__always)
    init?(_ field: Field, in payload: Span<UInt8>) {
        guard field.count > 0, let kind = Kind(rawValue: payload[field.offset]),
            let header = field.header(in: payload, prefixByteCount: 1)
        else { return nil }
        self.kind = kind
        name = header.name
        value = header.value
    }

    /// Whether it is one that ``judge(in:)`` accepts, as far as can be seen at once: false as well of a few that are.
    @inline(__always)
    func isPlain(in payload: Span<UInt8>) -> Bool {
        (kind == .set || value.isEmpty) && FieldRules.isPlainAndFree(name.range, in: payload)
            && FieldRules.isHeaderValue(value.range, in: payload)
    }

    /// Throws unless a verdict may carry it out.
    func judge(in payload: Span<UInt8>) throws(ProtocolError) {
        try PolicyProtocol.judge(HeaderField(name: name, value: value), in: payload)
        let name = name.bytes(in: payload)
        guard FieldRules.mayBeOperatedOn(name) else {
            throw ProtocolError(.fieldForbidden, "an operation on \(name.text), which no verdict may touch")
        }
        guard kind == .set || value.isEmpty else {
            throw ProtocolError(.fieldMalformed, "an operation that removes \(name.text) and has a value")
        }
    }
}

/// Which message an operation changes.
public enum OperationSide: Sendable {
    /// The request on its way to the upstream.
    case request
    /// The response on its way to the client, be it the upstream's or a denial.
    case response
}

/// A verdict's operations on one message's headers: where they stand in its payload, and what tells most names from theirs.
public struct HeaderOperations: Sendable, Equatable {
    private let tag: UInt8
    /// From the first one's field to behind the last one's.
    private var range = FieldRange.empty
    /// What ``Span/foldedNameBit`` of their names is.
    private var nameBits: UInt64 = 0
    private var repeatedNameBits: UInt64 = 0

    /// None.
    public init(_ side: OperationSide) { tag = VerdictTag.operation(on: side) }

    public var isEmpty: Bool { range.isEmpty }

    /// Where the first one stands.
    public var start: Int { range.range.lowerBound }

    /// Whether one of them may be on a name with this ``Span/foldedNameBit``.
    public func mayName(_ nameBit: UInt64) -> Bool { nameBits & nameBit != 0 }

    /// Whether several of them may be.
    public func mayRepeat(_ nameBit: UInt64) -> Bool { repeatedNameBits & nameBit != 0 }

    /// The next one. They apply in their order.
    ///
    /// - Parameters:
    ///   - payload: that of the verdict.
    ///   - position: ``start`` to begin with; moved past the operation returned.
    /// - Returns: `nil` after the last.
    public func next(in payload: Span<UInt8>, from position: inout Int) -> HeaderOperation? {
        HeaderOperation.next(tag, in: payload, from: &position, to: range.range.upperBound)
    }

    @inline(__always)
    mutating func note(_ operation: HeaderOperation, _ field: Field, in payload: Span<UInt8>) {
        let start = isEmpty ? field.offset &- Field.headByteCount : range.range.lowerBound
        range = FieldRange(offset: start, count: field.end &- start)
        let bit = operation.name.bytes(in: payload).foldedNameBit
        repeatedNameBits |= nameBits & bit
        nameBits |= bit
    }
}
