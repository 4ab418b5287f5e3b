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

    /// Leaves room for a message's prefix.
    static func beginMessage(in buffer: ByteBuffer) {
        buffer.append(UInt8(0))
        buffer.append(bigEndian: UInt32(0))
    }

    /// Answers with a message, which stands behind the room for its prefix, and the status OK.
    static func answer(_ stream: ServerStream, message: ByteBuffer) {
        let byteCount = message.count - GRPCCall.prefixByteCount
        for index in 1..<GRPCCall.prefixByteCount { message[index] = UInt8(truncatingIfNeeded: byteCount >> (8 * (4 - index))) }
        stream.answer(head)
        stream.send(message.bytes)
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
