import Bytes
import Testing

@testable import PolicyProtocol

/// SplitMix64 with a fixed seed: a failure can be run again.
private struct Generator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var bits = state
        bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
        return bits ^ (bits >> 31)
    }
}

@Suite struct `Hostile bytes` {
    /// Whatever comes is a message or a refusal; and what is a message is one again after it was written.
    @Test(arguments: [UInt64(1), 2, 3, 4])
    func `are refused and do no harm`(_ seed: UInt64) throws {
        var random = Generator(state: seed)
        var acceptedCount = 0
        for _ in 0..<20_000 {
            var bytes = ProtocolDocument.frames.randomElement(using: &random)!.bytes
            for _ in 0..<Int.random(in: 1...4, using: &random) { mutate(&bytes, &random) }
            if try readAll(bytes) { acceptedCount += 1 }
        }
        #expect(acceptedCount > 0, "mutations so wild that they test nothing")
    }

    private func mutate(_ bytes: inout [UInt8], _ random: inout Generator) {
        guard !bytes.isEmpty else { return }
        let index = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<6, using: &random) {
        case 0: bytes[index] = UInt8.random(in: .min ... .max, using: &random)
        case 1: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 2: bytes.remove(at: index)
        case 3: bytes.insert(UInt8.random(in: .min ... .max, using: &random), at: index)
        case 4: bytes.removeSubrange(index..<min(index + Int.random(in: 1...16, using: &random), bytes.count))
        default: bytes.insert(contentsOf: bytes[index..<min(index + 16, bytes.count)], at: index)
        }
    }

    /// Reads as both sides do; whether all of it was well-formed.
    private func readAll(_ bytes: [UInt8]) throws -> Bool {
        var isWellFormed = true
        var offset = 0
        while offset < bytes.count {
            let rest = bytes.span.extracting(offset..<bytes.count)
            var header: FrameHeader?
            let code = refusal { () throws(ProtocolError) in
                if case .frame(let found) = try FrameHeader.parse(rest, maximumFrameBytes: 65_536) { header = found }
            }
            guard code == nil, let header else { return false }
            #expect(header.frameByteCount <= rest.count)
            let payload = rest.extracting(header.payloadRange).array
            if refusal({ () throws(ProtocolError) in try read(header, payload) }) != nil { isWellFormed = false }
            // A length that was mutated must not hide the payload from its parser.
            _ = refusal { () throws(ProtocolError) in try read(header, Array(bytes.dropFirst(8))) }
            offset += header.frameByteCount
        }
        return isWellFormed
    }

    private func read(_ header: FrameHeader, _ payload: [UInt8]) throws(ProtocolError) {
        switch header.type {
        case .hello:
            _ = refusal { () throws(ProtocolError) in _ = try ClientHello.parse(payload.span) }
            _ = try DaemonHello.parse(payload.span, answering: ClientHello(name: ""))
        case .check:
            let message = try CheckMessage.parse(payload.span)
            let again = ByteBuffer(capacity: 64)
            try encode(message, payload.span, id: header.id, to: again)
            let second = try CheckMessage.parse(again.bytes.extracting(8..<again.count))
            #expect(second.headerCount == message.headerCount)
        case .verdict:
            let message = try VerdictMessage.parse(payload.span)
            let again = ByteBuffer(capacity: 64)
            try encode(message, payload.span, id: header.id, to: again)
            let second = try VerdictMessage.parse(again.bytes.extracting(8..<again.count))
            #expect(second.decision == message.decision && second.operationCount == message.operationCount)
        case .ping, .pong: try Ping.parse(payload.span)
        case .goAway: _ = try GoAway.parse(payload.span)
        case .error: _ = try ErrorReport.parse(payload.span, id: header.id)
        case nil: break
        }
    }
}
