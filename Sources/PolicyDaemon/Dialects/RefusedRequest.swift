import Bytes
import HTTPMessage
import JSON
import Policy
import PolicyProtocol

/// Makes the verdict on a request that no policy need be asked about, since it can't be read in only one way.
struct RefusedRequest {
    private let frame = ByteBuffer(capacity: 256)

    /// Denies with the status of `refusal`, and the body that our own proxy answers such a request with.
    ///
    /// - Parameter body: gets the payload of a VERDICT, and what it says.
    func deny(_ refusal: MessageRefusal, _ body: (Span<UInt8>, VerdictMessage) -> Void) {
        let phrase = StatusCode.phrase(refusal.status)
        let json = JSONValue.object(JSONObject([("error", .string("\(phrase)")), ("message", .string(refusal.message))])).serialized
        write(refusal.status, json)
        let bytes = frame.bytes
        let payload = bytes.extracting(FrameHeader.byteCount..<bytes.count)
        guard let message = try? VerdictMessage.parse(payload) else { preconditionFailure("a denial that cannot be read") }
        body(payload, message)
    }

    private func write(_ status: UInt16, _ body: [UInt8]) {
        frame.clear()
        let reason = Array("\(Reason.checkMalformed.text)".utf8)
        let (contentType, type) = (Array("content-type".utf8), Array("application/json".utf8))
        var verdict = VerdictWriter(
            deny: 0, status: status, reason: reason.span, to: frame, maximumFrameBytes: ProtocolLimits.defaultFrameBytes)
        verdict.setResponseHeader(contentType.span, type.span)
        if status == 405 {
            let (allow, methods) = (Array("allow".utf8), Array("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS".utf8))
            verdict.setResponseHeader(allow.span, methods.span)
        }
        verdict.body(body.span)
        try? verdict.finish()   // some hundred bytes, which fit
    }
}
