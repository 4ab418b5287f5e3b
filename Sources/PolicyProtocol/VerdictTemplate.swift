import Bytes

/// The part of an allow that many verdicts have in common, encoded once: the decision, the reason, and whatever was added.
///
/// A daemon answers most CHECKs of one user with the same bytes but for an id and a number or two.
public struct VerdictTemplate: Sendable {
    let payload: [UInt8]

    /// - Parameters:
    ///   - reason: lower-case letters, digits and hyphens, 1 to 64 bytes.
    ///   - add: adds what the verdicts have in common.
    /// - Throws: `frameTooLarge`, where that alone is more than the largest frame there is.
    public init(allowFor reason: Span<UInt8>, _ add: (inout VerdictWriter) -> Void) throws(ProtocolError) {
        let buffer = ByteBuffer(capacity: 512)
        var writer = VerdictWriter(
            allow: 0, reason: reason, to: buffer, maximumFrameBytes: ProtocolLimits.frameBytes.upperBound)
        add(&writer)
        try writer.finish()
        let bytes = buffer.bytes
        payload = bytes.extracting(FrameHeader.byteCount..<bytes.count).array
    }
}

extension VerdictWriter {
    /// Begins an allow with what `template` holds; more may be added.
    public init(_ template: VerdictTemplate, id: UInt32, to buffer: ByteBuffer, maximumFrameBytes: Int) {
        self.init(FrameWriter(.verdict, id: id, to: buffer, maximumFrameBytes: maximumFrameBytes))
        frame.fields(template.payload.span)
    }
}
