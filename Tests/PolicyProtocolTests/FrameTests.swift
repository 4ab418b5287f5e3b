import Bytes
import Testing

@testable import PolicyProtocol

@Suite struct `A frame` {
    private static let limit = ProtocolLimits.defaultFrameBytes

    @Test(arguments: ProtocolDocument.frames)
    func `is found wherever its bytes are split`(_ example: DocumentedFrame) throws {
        for split in 0..<example.bytes.count {
            let buffer = ByteBuffer(capacity: 16)
            buffer.append(example.bytes.span.extracting(0..<split))
            guard case .needsMore(let missing) = try FrameHeader.parse(buffer.bytes, maximumFrameBytes: Self.limit) else {
                Issue.record("a whole frame in its first \(split) bytes")
                return
            }
            #expect(missing >= 1 && missing <= example.bytes.count - split)
            buffer.append(example.bytes.span.extracting(split..<example.bytes.count))
            guard case .frame(let header) = try FrameHeader.parse(buffer.bytes, maximumFrameBytes: Self.limit) else {
                Issue.record("no frame after a split at \(split)")
                return
            }
            #expect(header.frameByteCount == example.bytes.count)
            #expect(buffer.bytes.extracting(header.payloadRange).array == example.payload)
        }
    }

    @Test func `leaves what stands behind it alone`() throws {
        let bytes: [UInt8] = [0xC4, 0, 0, 0, 0, 0, 0, 9, 0xC5, 0, 0]
        let found = try FrameHeader.parse(bytes.span, maximumFrameBytes: Self.limit)
        guard case .frame(let header) = found else { throw ProtocolError(.frameMalformed, "no frame") }
        #expect(header.type == .ping && header.id == 9 && header.frameByteCount == 8)
    }

    @Test(arguments: [UInt8(ascii: "G"), UInt8(ascii: "P"), 0x16, 0x00, 0x7F])
    func `of another protocol is refused by its first byte`(_ first: UInt8) {
        let bytes = [first]
        let code = refusal { () throws(ProtocolError) in _ = try FrameHeader.parse(bytes.span, maximumFrameBytes: Self.limit) }
        #expect(code == .frameMalformed)
    }

    @Test func `of an unknown type is skipped or refused as its second bit says`() throws {
        for type in UInt8(0x80)...0xFF where FrameType(rawValue: type) == nil {
            let bytes: [UInt8] = [type, 0, 0, 1, 0, 0, 0, 1, 0xAA]
            var result: FrameHeader.ParseResult?
            let code = refusal { () throws(ProtocolError) in result = try FrameHeader.parse(bytes.span, maximumFrameBytes: Self.limit) }
            if type & 0x40 != 0 {
                #expect(code == .frameUnknown)
            } else if case .frame(let header)? = result {
                #expect(header.type == nil && header.frameByteCount == 9)
            } else {
                Issue.record("type \(type) was not skipped")
            }
        }
    }

    @Test func `that is too large is refused before it has arrived`() throws {
        let bytes: [UInt8] = [0xC2, 0x00, 0x3F, 0xF9]
        let code = refusal { () throws(ProtocolError) in _ = try FrameHeader.parse(bytes.span, maximumFrameBytes: 16_384) }
        #expect(code == .frameTooLarge)
        let largest: [UInt8] = [0xC2, 0x00, 0x3F, 0xF8]
        #expect(try FrameHeader.parse(largest.span, maximumFrameBytes: 16_384) == .needsMore(byteCount: 16_380))
    }

    @Test func `that cannot be written leaves the buffer as it was`() {
        let buffer = ByteBuffer(capacity: 64)
        buffer.append("before")
        let (reason, authorization) = (Array("ok".utf8), Array("authorization".utf8))
        let long = [UInt8](repeating: UInt8(ascii: "a"), count: 70_000)
        for byteCount in [300, 20_000, 70_000] {
            let code = refusal { () throws(ProtocolError) in
                var writer = VerdictWriter(
                    allow: 1, reason: reason.span, to: buffer, maximumFrameBytes: 16_384)
                let bytes = long.span.extracting(0..<byteCount)
                if byteCount == 300 { writer.removeRequestHeader(bytes) } else { writer.subject(bytes); writer.body(bytes) }
                writer.removeRequestHeader(authorization.span)
                try writer.finish()
            }
            #expect(code == .frameTooLarge)
            #expect(buffer.bytes.text == "before")
        }
    }
}

@Suite struct `Ids of CHECKs` {
    @Test func `increase from 1`() {
        var ids = CheckIDs()
        #expect(ids.greatest == 0)
        #expect(ids.next() == 1)
        #expect(ids.next() == 2)
        #expect(ids.greatest == 2)
    }

    @Test func `may leave gaps but never come again`() throws {
        var ids = CheckIDs()
        try ids.admit(3)
        try ids.admit(7)
        for id in [UInt32(0), 3, 5, 7] {
            #expect(refusal { () throws(ProtocolError) in try ids.admit(id) } == .idReused)
        }
        try ids.admit(.max)
        #expect(ids.next() == nil)
    }
}
