/// Follows the frames that pass one way through a WebSocket (RFC 6455 §5.2), so that one can be put behind a whole one.
struct WebSocketFrames {
    private enum Part {
        case first, second, rest, payload
    }

    private var part = Part.first
    private var isClose = false
    private var extendedLengthLeft = 0
    private var maskLeft = 0
    private var length: UInt64 = 0

    /// Whether what has passed ends with a whole frame. A control frame may stand there, within a message too (§5.4).
    var areWhole: Bool { part == .first }
    /// Whether a Close frame has passed, behind which none may follow (§5.5.1).
    private(set) var hasClosed = false

    mutating func follow(_ bytes: Span<UInt8>) {
        var position = 0
        while position < bytes.count {
            guard part == .payload else {
                takeHeader(bytes[position])
                position += 1
                continue
            }
            let count = Int(min(length, UInt64(bytes.count - position)))
            position += count
            length -= UInt64(count)
            if length == 0 { part = .first }
        }
    }

    private mutating func takeHeader(_ byte: UInt8) {
        switch part {
        case .first:
            isClose = byte & 0x0F == 8
            part = .second
            return
        case .second:
            maskLeft = byte & 0x80 == 0 ? 0 : 4
            let short = byte & 0x7F
            extendedLengthLeft = short == 126 ? 2 : short == 127 ? 8 : 0
            length = extendedLengthLeft == 0 ? UInt64(short) : 0
            part = .rest
        case .rest where extendedLengthLeft > 0:
            length = length << 8 | UInt64(byte)
            extendedLengthLeft -= 1
        case .rest: maskLeft -= 1
        case .payload: return
        }
        guard extendedLengthLeft == 0, maskLeft == 0 else { return }
        if isClose { hasClosed = true }
        part = length == 0 ? .first : .payload
    }

    // MARK: That this side goes away (§7.4.1)

    private static let goingAway: [UInt8] = [0x03, 0xE9]

    /// The Close frame of a server.
    static let closeOfServer: [UInt8] = [0x88, 0x02] + goingAway

    /// The Close frame of a client, which masks what it sends (§5.3).
    static func closeOfClient(mask: UInt32) -> [UInt8] {
        let key = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: mask >> $0) }
        return [0x88, 0x82] + key + zip(goingAway, key).map { $0 ^ $1 }
    }
}
