import Bytes

/// Tags of the fields of a VERDICT.
enum VerdictTag {
    static let decision: UInt8 = 0x81
    static let reason: UInt8 = 0x82
    static let subject: UInt8 = 0x03
    static let requestOperation: UInt8 = 0x84
    static let responseOperation: UInt8 = 0x85
    static let status: UInt8 = 0x86
    static let body: UInt8 = 0x87
    static let query: UInt8 = 0x88

    @inline(__always)
    static func operation(on side: OperationSide) -> UInt8 { side == .request ? requestOperation : responseOperation }
}

/// Writes one VERDICT frame at the end of a buffer: the decision, then what belongs to it, then ``finish()``.
///
/// Until it is finished, nothing else may be appended to the buffer or consumed from it. Names are in lower case, and
/// ones that ``FieldRules/mayBeOperatedOn(_:)`` accepts: a client refuses the whole verdict otherwise.
public struct VerdictWriter: ~Copyable {
    var frame: FrameWriter

    init(_ frame: consuming FrameWriter) { self.frame = frame }

    /// Begins an allow.
    ///
    /// - Parameters:
    ///   - id: that of the CHECK it answers.
    ///   - reason: lower-case letters, digits and hyphens, 1 to 64 bytes.
    ///   - maximumFrameBytes: the frame size agreed in the HELLOs.
    public init(allow id: UInt32, reason: Span<UInt8>, to buffer: ByteBuffer, maximumFrameBytes: Int) {
        frame = FrameWriter(.verdict, id: id, to: buffer, maximumFrameBytes: maximumFrameBytes)
        frame.field(VerdictTag.decision, byte: VerdictMessage.Decision.allow.rawValue)
        frame.field(VerdictTag.reason, reason)
    }

    /// Begins a denial.
    ///
    /// - Parameter status: the answer's HTTP status, 300 to 599 and not 304.
    public init(deny id: UInt32, status: UInt16, reason: Span<UInt8>, to buffer: ByteBuffer, maximumFrameBytes: Int) {
        frame = FrameWriter(.verdict, id: id, to: buffer, maximumFrameBytes: maximumFrameBytes)
        frame.field(VerdictTag.decision, byte: VerdictMessage.Decision.deny.rawValue)
        frame.field(VerdictTag.reason, reason)
        frame.field(VerdictTag.status, bigEndian: status)
    }

    /// Says as whom the request was judged, for the log alone. What is longer than 1,024 bytes is cut off.
    public mutating func subject(_ subject: Span<UInt8>) {
        var count = min(subject.count, ProtocolLimits.subjectBytes)
        if count < subject.count {
            // Not in the middle of a character: a continuation byte is 0b10xxxxxx.
            while count > 0, subject[count] & 0xC0 == 0x80 { count -= 1 }
        }
        frame.field(VerdictTag.subject, subject.extracting(0..<count))
    }

    /// Replaces every field `name` of the request by one. For an allow only.
    public mutating func setRequestHeader(_ name: Span<UInt8>, _ value: Span<UInt8>) {
        set(VerdictTag.requestOperation, name, value)
    }

    /// Takes every field `name` out of the request. For an allow only.
    public mutating func removeRequestHeader(_ name: Span<UInt8>) {
        remove(VerdictTag.requestOperation, name)
    }

    /// Replaces the query of the request's target. For an allow only, once.
    ///
    /// - Parameter query: visible ASCII without a `#`; empty takes the query out, its question mark included.
    public mutating func query(_ query: Span<UInt8>) { frame.field(VerdictTag.query, query) }

    /// Replaces every field `name` of the response by one.
    public mutating func setResponseHeader(_ name: Span<UInt8>, _ value: Span<UInt8>) {
        set(VerdictTag.responseOperation, name, value)
    }

    /// Replaces every field `name` of the response by one whose value is `number` in decimal digits.
    public mutating func setResponseHeader(_ name: Span<UInt8>, decimal number: Int) {
        let isBegun = frame.beginHeader(
            VerdictTag.responseOperation, prefix: HeaderOperation.Kind.set.rawValue, name: name,
            valueCount: number.decimalCharacterCount)
        if isBegun { frame.buffer.append(decimal: number) }
    }

    /// Replaces every field `name` of the response by one whose value, of `byteCount` bytes, `append` appends.
    public mutating func setResponseHeader(_ name: Span<UInt8>, byteCount: Int, _ append: (ByteBuffer) -> Void) {
        let isBegun = frame.beginHeader(
            VerdictTag.responseOperation, prefix: HeaderOperation.Kind.set.rawValue, name: name, valueCount: byteCount)
        if isBegun { append(frame.buffer) }
    }

    /// Takes every field `name` out of the response.
    public mutating func removeResponseHeader(_ name: Span<UInt8>) {
        remove(VerdictTag.responseOperation, name)
    }

    /// The content of the answer to the client. For a denial only, once; its type is the response header `content-type`.
    public mutating func body(_ body: Span<UInt8>) { frame.field(VerdictTag.body, body) }

    /// Completes the frame.
    ///
    /// - Throws: `frameTooLarge`, with the buffer as it was before the frame was begun. A denial that fits must be
    ///   written instead.
    public consuming func finish() throws(ProtocolError) { try frame.finish() }

    private mutating func set(_ tag: UInt8, _ name: Span<UInt8>, _ value: Span<UInt8>) {
        let isBegun = frame.beginHeader(
            tag, prefix: HeaderOperation.Kind.set.rawValue, name: name, valueCount: value.count)
        if isBegun { frame.buffer.append(value) }
    }

    private mutating func remove(_ tag: UInt8, _ name: Span<UInt8>) {
        _ = frame.beginHeader(tag, prefix: HeaderOperation.Kind.remove.rawValue, name: name, valueCount: 0)
    }
}
