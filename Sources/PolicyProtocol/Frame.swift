import Bytes

/// The frames of version 1. Every type has its top bit set, so that a connection's first byte tells this protocol from
/// HTTP, TLS and SPOP; the next bit (0x40) says that a reader who does not know the type must close the connection.
public enum FrameType: UInt8, Sendable, CaseIterable {
    case hello = 0xC1
    case check = 0xC2
    case verdict = 0xC3
    case ping = 0xC4
    case pong = 0xC5
    case goAway = 0xC6
    case error = 0xC7
}

/// The eight bytes before every payload: `type u8 | payload length u24 | id u32`, big-endian.
public struct FrameHeader: Sendable, Equatable {
    public static let byteCount = 8

    /// What a look at received bytes may find.
    public enum ParseResult: Sendable, Equatable {
        /// The frame is not complete: at least this many bytes are missing.
        case needsMore(byteCount: Int)
        /// A whole frame stands at the front of the bytes.
        case frame(FrameHeader)
    }

    /// `nil` is a type that this version does not know and may skip.
    public let type: FrameType?

    public let payloadByteCount: Int
    public let id: UInt32

    /// The header and the payload: what to consume when the frame is done with.
    public var frameByteCount: Int { Self.byteCount + payloadByteCount }

    /// Where the payload lies in the bytes that were parsed.
    public var payloadRange: Range<Int> { Self.byteCount..<frameByteCount }

    /// Looks for a whole frame at the front of `bytes`.
    ///
    /// The type and the length are judged as soon as they have arrived, so that a peer that speaks another protocol is
    /// refused by its first byte, and an oversized frame before it is buffered.
    ///
    /// - Parameter maximumFrameBytes: the agreed frame size; ``ProtocolLimits/helloBytes`` while a HELLO is awaited.
    /// - Throws: `frameMalformed`, `frameUnknown` or `frameTooLarge`. The connection cannot go on after any of them.
    public static func parse(_ bytes: Span<UInt8>, maximumFrameBytes: Int) throws(ProtocolError) -> ParseResult {
        guard bytes.count > 0 else { return .needsMore(byteCount: byteCount) }
        let typeByte = bytes[0]
        let type = FrameType(rawValue: typeByte)
        if type == nil { try refuseUnlessSkippable(typeByte) }
        guard bytes.count >= 4 else { return .needsMore(byteCount: byteCount - bytes.count) }
        let length = Int(bytes[1]) << 16 | Int(bytes[2]) << 8 | Int(bytes[3])
        guard byteCount + length <= maximumFrameBytes else {
            throw ProtocolError(
                .frameTooLarge, "a frame of \(byteCount + length) bytes, at most \(maximumFrameBytes) are accepted")
        }
        guard bytes.count >= byteCount + length else {
            return .needsMore(byteCount: byteCount + length - bytes.count)
        }
        let id = UInt32(bytes[4]) << 24 | UInt32(bytes[5]) << 16 | UInt32(bytes[6]) << 8 | UInt32(bytes[7])
        return .frame(FrameHeader(type: type, payloadByteCount: length, id: id))
    }

    private static func refuseUnlessSkippable(_ typeByte: UInt8) throws(ProtocolError) {
        if typeByte & 0x80 == 0 {
            throw ProtocolError(
                .frameMalformed, "a frame that begins with \(hexadecimal(typeByte)), every type is 0x80 or above")
        }
        if typeByte & 0x40 != 0 {
            throw ProtocolError(
                .frameUnknown, "a frame of type \(hexadecimal(typeByte)), which version 1 does not know and may not skip")
        }
    }
}

/// The ids of the CHECKs of one connection: strictly increasing from 1, so that none is ever used twice.
public struct CheckIDs: Sendable {
    private var last: UInt32 = 0

    public init() {}

    /// The greatest id used so far; 0 before the first.
    public var greatest: UInt32 { last }

    /// The next id to use, or `nil` when the connection has used them all and must be replaced.
    public mutating func next() -> UInt32? {
        guard last < UInt32.max else { return nil }
        last += 1
        return last
    }

    /// Notes the id of a CHECK that was received.
    ///
    /// - Throws: `idReused` unless `id` is greater than every earlier one. The connection cannot go on.
    public mutating func admit(_ id: UInt32) throws(ProtocolError) {
        guard id > last else {
            throw ProtocolError(.idReused, "a CHECK with id \(id) after one with id \(last), ids must increase from 1")
        }
        last = id
    }
}
