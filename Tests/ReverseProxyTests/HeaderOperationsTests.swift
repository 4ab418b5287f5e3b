import Bytes
import PolicyProtocol
import Testing

@testable import ReverseProxy

@Suite struct `A verdict's operations` {
    /// The payload of a verdict that sets a field of this name in both heads.
    private func payload(_ name: String) throws -> [UInt8] {
        let buffer = ByteBuffer(capacity: 256)
        var writer = VerdictWriter(allow: 1, reason: Array("allowed".utf8).span, to: buffer, maximumFrameBytes: 16_384)
        writer.setRequestHeader(Array(name.utf8).span, Array("7".utf8).span)
        writer.setResponseHeader(Array(name.utf8).span, Array("7".utf8).span)
        try writer.finish()
        return (8..<buffer.count).map { buffer[$0] }
    }

    /// Whether each side's operations concern the two names.
    private func concerned(_ name: String) throws -> [Bool] {
        let payload = try payload(name)
        let verdict = try VerdictMessage.parse(payload.span)
        let (request, response) = (verdict.requestOperations, verdict.responseOperations)
        let field = Array("X_Request_Id".utf8)
        return [
            request.concerns("x-request-id", in: payload.span), response.concerns("x-request-id", in: payload.span),
            response.concerns(field.span, in: payload.span), request.concerns("traceparent", in: payload.span),
        ]
    }

    @Test(arguments: ["x_request_id", "x.request.id"])
    func `concern what the proxy writes itself in any spelling`(_ name: String) throws {
        #expect(try concerned(name).prefix(2) == [true, true])
    }

    @Test(arguments: ["x-request-id"])
    func `concern what a backend takes for it`(_ name: String) throws {
        #expect(try concerned(name) == [true, true, true, false])
    }

    @Test(arguments: ["x-request-ids", "x-request-i", "y-request-id", "x0request-id"])
    func `concern no other name`(_ name: String) throws {
        #expect(try concerned(name) == [false, false, false, false])
    }
}
