import Bytes
import HTTPMessage
import Testing

@testable import ReverseProxy

@Suite struct `A body reader` {
    private let input = ByteBuffer(capacity: 64)
    private let output = ByteBuffer(capacity: 64)

    private func move(_ body: inout BodyReader, as coding: BodyReader.Coding = .identity, room: Int) throws {
        try body.move(from: input, to: output, as: coding, room: room, passesTrailer: { _, _ in false })
    }

    @Test func `sends the first of a body along with its head`() throws {
        var body = BodyReader(.length(20), limits: HeadLimits())
        output.append("head")
        input.append("0123456789")
        try move(&body, room: 8)
        #expect(output.bytes.text == "head0123" && input.bytes.text == "456789")
        #expect(body.isHeldUp && !body.hasEnded)
    }

    @Test func `leaves what follows where it is until the output is sent, and then takes all of it`() throws {
        var body = BodyReader(.length(20), limits: HeadLimits())
        input.append("0123")
        try move(&body, room: 8)
        output.consume(1)
        input.append("456789ABCD")
        try move(&body, room: 8)
        #expect(output.bytes.text == "123" && body.isHeldUp)
        output.clear()
        try move(&body, room: 8)
        // More than the room: nothing was copied.
        #expect(output.bytes.text == "456789ABCD" && input.isEmpty && !body.isHeldUp)
        #expect(body.byteCount == 14)
    }

    @Test func `is held up by nothing where nothing is there`() throws {
        var body = BodyReader(.length(40), limits: HeadLimits())
        input.append("0123456789")
        try move(&body, room: 4)
        input.append("ABCDEFGHIJ")
        output.clear()
        try move(&body, room: 4)
        // A large piece of which a part is sent: more than the room still, but no reason not to receive.
        try move(&body, room: 4)
        #expect(output.count > 4 && input.isEmpty && !body.isHeldUp)
    }

    @Test func `leaves the rest of a chunk where it is as well`() throws {
        var body = BodyReader(.chunked, limits: HeadLimits())
        input.append("4\r\n0123\r\n")
        try move(&body, room: 8)
        output.consume(1)
        input.append("A\r\n456789ABCD")
        try move(&body, room: 8)
        #expect(output.bytes.text == "123" && body.isHeldUp)
        output.clear()
        try move(&body, room: 8)
        #expect(output.bytes.text == "456789ABCD" && input.isEmpty && !body.isHeldUp)
    }

    @Test func `writes chunks until there is no room`() throws {
        var body = BodyReader(.length(10), limits: HeadLimits())
        input.append("0123456789")
        try move(&body, as: .chunked, room: 4)
        #expect(output.bytes.text == "4\r\n0123\r\n" && body.isHeldUp)
        output.clear()
        try move(&body, as: .chunked, room: 64)
        #expect(output.bytes.text == "6\r\n456789\r\n0\r\n\r\n" && body.hasEnded && !body.isHeldUp)
    }
}
