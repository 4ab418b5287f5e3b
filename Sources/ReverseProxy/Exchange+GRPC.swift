import Bytes
import HTTPMessage
import JSON

/// The proxy's own answers, as gRPC clients take them: HTTP status 200, and what is the matter in fields (a "Trailers-Only" answer).
extension Exchange {
    /// Whether the request whose head stands in `input` is a call of gRPC, which is a POST (grpc.io, "gRPC over HTTP2"): the 200 that tells of
    /// a denial must be none that a cache would keep as the answer to a GET.
    var isGRPCRequest: Bool {
        let input = self.input
        let bytes = input.bytes
        guard head.methodName.bytes(in: bytes).equals("POST") else { return false }
        for field in head.fields where field.kind == .headOnly && field.name.bytes(in: bytes).equalsIgnoringCase("content-type") {
            return GRPCStatus.isGRPC(field.value.bytes(in: bytes))
        }
        return false
    }

    /// Answers with what `status` means in gRPC; the body that stands in `upstreamOutput` becomes the message.
    ///
    /// The log has `status` itself: 200 would hide what became of the call.
    func answerGRPC(_ status: UInt16, _ client: ClientConnection, fields: (ByteBuffer) -> Void) async -> AfterExchange {
        let output = self.output
        output.clear()
        buffers.furnish(output)
        output.append("HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\ngrpc-status: ")
        output.append(decimal: GRPCStatus.code(status))
        output.append("\r\ngrpc-message: ")
        appendGRPCMessage(status)
        output.append("\r\n")
        if record.hasVerdict {
            let payload = check.payload
            operations.response.append(to: output, from: payload.bytes, but: "content-type")
        }
        appendRequestID()
        fields(output)
        output.append(contentLength: 0)
        appendDate()
        output.append("\r\n")
        record.status = status
        upstreamOutput.clear()
        _ = await deliver(to: client)
        return .close
    }

    /// The `message` (or the `detail`, RFC 9457) of the body, where it is an object of JSON with one; else the status in words.
    private func appendGRPCMessage(_ status: UInt16) {
        let body = upstreamOutput
        let object = (try? JSONValue.parse(body.bytes))?.object
        if let text = object?["message"]?.string ?? object?["detail"]?.string {
            GRPCStatus.append(message: text.utf8Span.span, to: output)
        } else {
            output.append(StatusCode.phrase(status))
        }
    }
}
