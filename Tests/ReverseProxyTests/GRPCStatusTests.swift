import Bytes
import Testing

@testable import ReverseProxy

@Suite struct `What gRPC is told` {
    @Test(arguments: [("hello", "hello"), ("100 % ü\n", "100 %25 %C3%BC%0A"), ("", "")])
    func `is percent-encoded`(text: String, encoded: String) {
        let buffer = ByteBuffer(capacity: 64)
        GRPCStatus.append(message: text.utf8Span.span, to: buffer)
        #expect(buffer.bytes.text == encoded)
    }

    @Test(arguments: [
        ("application/grpc", true), ("application/grpc+proto", true), ("Application/gRPC;x=y", true), ("application/grpc-web", false),
        ("application/grp", false), ("application/json", false),
    ])
    func `goes to calls of gRPC`(type: String, isGRPC: Bool) { #expect(GRPCStatus.isGRPC(type.utf8Span.span) == isGRPC) }

    @Test(arguments: [(400, 13), (401, 16), (403, 7), (404, 12), (405, 12), (413, 8), (429, 8), (502, 14), (503, 14), (504, 14), (431, 2)])
    func `is the code that a status stands for`(status: UInt16, code: Int) { #expect(GRPCStatus.code(status) == code) }
}
