import Bytes
import EnvoyProtocol
import HTTP2

/// How calls are answered on HTTP/2 streams (grpc.io, "gRPC over HTTP2").
enum GRPCAnswers {
    private static let head = FieldList([(":status", "200"), ("content-type", "application/grpc")])
    private static let success = FieldList([("grpc-status", "0")])
    /// A request that is no gRPC call gets an HTTP status, which says so to a client that knows nothing of gRPC.
    static let wrongMethod = FieldList([(":status", "405"), ("allow", "POST")])
    static let wrongContentType = FieldList([(":status", "415")])

    /// Answers with a message and the status OK.
    static func answer(_ stream: ServerStream, message: Span<UInt8>) {
        stream.answer(head)
        var prefix = InlineArray<5, UInt8>(repeating: 0)
        for index in 1..<5 { prefix[index] = UInt8(truncatingIfNeeded: message.count >> (8 * (4 - index))) }
        stream.send(prefix.span)
        stream.send(message)
        stream.end(trailers: success)
    }

    /// Answers with a status alone.
    static func answer(_ stream: ServerStream, _ status: GRPCStatus) {
        stream.answer(
            FieldList([
                (":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "\(status.code.rawValue)"),
                ("grpc-message", status.message), ("grpc-accept-encoding", "identity"),
            ]), isEnd: true)
    }
}
