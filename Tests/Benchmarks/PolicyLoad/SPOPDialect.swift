import Bytes

/// HAProxy's SPOP, with its pipelining (SPOE.txt §3.2), and the one message that deploy/integrations/haproxy sends.
struct SPOPDialect: LoadDialect {
    struct UnexpectedFrame: Error {
        let type: UInt8
    }

    private enum FrameType {
        static let haproxyHello: UInt8 = 1
        static let notify: UInt8 = 3
        static let agentHello: UInt8 = 101
        static let ack: UInt8 = 103
    }

    /// A NOTIFY's payload for each token.
    private let messages: [[UInt8]]
    private var nextStream: UInt64 = 0

    init(_ tokens: [[UInt8]]) {
        messages = tokens.map { token in
            let headers = [("host", Array("localhost:3000".utf8)), ("authorization", Array("Bearer ".utf8) + token)]
                .flatMap { Self.string(Array($0.0.utf8)) + Self.string($0.1) } + Self.string([]) + Self.string([])
            return Self.string(Array("check".utf8)) + [4]
                + Self.string(Array("method".utf8)) + [8] + Self.string(Array("GET".utf8))
                + Self.string(Array("target".utf8)) + [8] + Self.string(Array("/api/projects".utf8))
                + Self.string(Array("address".utf8)) + [6, 127, 0, 0, 1]
                + Self.string(Array("headers".utf8)) + [9] + Self.string(headers)
        }
    }

    var questionCount: Int { messages.count }

    var greeting: [UInt8] {
        let size: [UInt8] = [3] + Self.varint(16_380)
        let payload = Self.string(Array("supported-versions".utf8)) + [8] + Self.string(Array("2.0".utf8))
            + Self.string(Array("max-frame-size".utf8)) + size
            + Self.string(Array("capabilities".utf8)) + [8] + Self.string(Array("pipelining".utf8))
        return Self.frame(FrameType.haproxyHello, ids: [0, 0], payload)
    }

    func takeGreeting(_ input: ByteBuffer) throws -> Bool {
        guard let length = frameLength(input) else { return false }
        guard input[4] == FrameType.agentHello else { throw UnexpectedFrame(type: input[4]) }
        input.consume(length)
        return true
    }

    mutating func appendQuestion(_ number: Int, to output: ByteBuffer) {
        nextStream += 1
        output.append(Self.frame(FrameType.notify, ids: Self.varint(nextStream) + [1], messages[number]))
    }

    /// The first action of an ACK is `set-var txn.allow`, whose value is the tag of a boolean.
    func takeAnswer(_ input: ByteBuffer) throws -> Bool? {
        guard let length = frameLength(input) else { return nil }
        guard input[4] == FrameType.ack else { throw UnexpectedFrame(type: input[4]) }
        var position = 9
        for _ in 0..<2 {
            if input[position] >= 240 {
                position += 1
                while input[position] >= 128 { position += 1 }
            }
            position += 1
        }
        let isAllowed = input[position + 4 + Int(input[position + 3])] == 0x11
        input.consume(length)
        return isAllowed
    }

    private func frameLength(_ input: ByteBuffer) -> Int? {
        guard input.count >= 4 else { return nil }
        let length = 4 + (Int(input[0]) << 24 | Int(input[1]) << 16 | Int(input[2]) << 8 | Int(input[3]))
        return input.count >= length ? length : nil
    }

    private static func frame(_ type: UInt8, ids: [UInt8], _ payload: [UInt8]) -> [UInt8] {
        let rest = [type, 0, 0, 0, 1] + ids + payload
        return (0..<4).map { UInt8(truncatingIfNeeded: rest.count >> (24 - 8 * $0)) } + rest
    }

    private static func string(_ bytes: [UInt8]) -> [UInt8] { varint(UInt64(bytes.count)) + bytes }

    private static func varint(_ number: UInt64) -> [UInt8] {
        guard number >= 240 else { return [UInt8(number)] }
        var bytes = [UInt8(truncatingIfNeeded: number) | 0xF0]
        var rest = (number - 240) >> 4
        while rest >= 128 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest = (rest - 128) >> 7
        }
        return bytes + [UInt8(rest)]
    }
}
