import Bytes
import PolicyProtocol

/// Our own protocol.
struct OwnDialect: LoadDialect {
    /// A CHECK a token, in which the id is filled in for each use.
    private let checks: [[UInt8]]
    private var ids = CheckIDs()

    init(_ tokens: [[UInt8]]) throws { checks = try tokens.map(Self.check) }

    /// As a proxy would send it.
    private static func check(_ token: [UInt8]) throws -> [UInt8] {
        let value = Array("Bearer ".utf8) + token
        let buffer = ByteBuffer(capacity: 2048)
        let (method, authority, target) = (Array("GET".utf8), Array("localhost:3000".utf8), Array("/api/projects".utf8))
        let (peer, name) = (Array("127.0.0.1".utf8), Array("authorization".utf8))
        var writer = CheckWriter(
            id: 0, method: method.span, scheme: .http, authority: authority.span, target: target.span,
            peerAddress: peer.span, peerPort: 40_000, to: buffer, maximumFrameBytes: ProtocolLimits.defaultFrameBytes)
        writer.header(name: name.span, value: value.span)
        try writer.finish()
        return buffer.bytes.array
    }

    var questionCount: Int { checks.count }

    var greeting: [UInt8] {
        get throws {
            let buffer = ByteBuffer(capacity: 256)
            try ClientHello(name: "policy-load").encode(to: buffer)
            return buffer.bytes.array
        }
    }

    func takeGreeting(_ input: ByteBuffer) throws -> Bool {
        let bytes = input.bytes
        guard case .frame(let header) = try FrameHeader.parse(bytes, maximumFrameBytes: ProtocolLimits.helloBytes) else { return false }
        input.consume(header.frameByteCount)
        return true
    }

    mutating func appendQuestion(_ number: Int, to output: ByteBuffer) throws {
        guard let id = ids.next() else { throw ProtocolError(.idReused, "out of ids") }
        let start = output.count
        output.append(checks[number])
        for byte in 0..<4 { output[start + 4 + byte] = UInt8(truncatingIfNeeded: id >> UInt32(24 - 8 * byte)) }
    }

    func takeAnswer(_ input: ByteBuffer) throws -> Bool? {
        let bytes = input.bytes
        guard case .frame(let header) = try FrameHeader.parse(bytes, maximumFrameBytes: ProtocolLimits.defaultFrameBytes) else { return nil }
        guard header.type == .verdict else { throw ProtocolError(.frameUnexpected, "no verdict") }
        let verdict = try VerdictMessage.parse(bytes.extracting(header.payloadRange))
        input.consume(header.frameByteCount)
        return verdict.decision == .allow
    }
}
