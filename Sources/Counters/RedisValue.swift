import Bytes

/// Any reply of Redis, whole.
public indirect enum RedisValue: Sendable, Equatable {
    case integer(Int64)
    case text([UInt8])
    case null
    /// An error reply: `ERR …`, `NOPERM …`.
    case error(String)
    case array([RedisValue])

    /// The bytes of a text, as a string.
    var string: String? {
        if case .text(let bytes) = self { String(decoding: bytes, as: UTF8.self) } else { nil }
    }

    var number: Int64? {
        switch self {
        case .integer(let number): number
        case .text: string.flatMap { Int64($0) }
        default: nil
        }
    }

    /// The elements of an array; none of anything else.
    var elements: [RedisValue] {
        if case .array(let elements) = self { elements } else { [] }
    }
}

/// Reads whole replies, arrays too, from the front of what was received.
///
/// For what is asked seldom. Where bytes are missing it begins anew with more of them.
struct RedisValueReader {
    struct Malformed: Error {}

    /// A cluster's map is the largest reply there is: 16,384 ranges at the worst.
    static let maximumBytes = 4 * 1024 * 1024
    private static let maximumDepth = 8

    private let bytes: [UInt8]
    private var place = 0

    /// The first reply in `buffer`, which is taken out of it; nil where more bytes are needed.
    static func next(in buffer: ByteBuffer) throws(Malformed) -> RedisValue? {
        var reader = Self(bytes: buffer.bytes.array)
        guard let value = try reader.value(depth: 0) else {
            if buffer.count > maximumBytes { throw Malformed() }
            return nil
        }
        buffer.consume(reader.place)
        return value
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private mutating func value(depth: Int) throws(Malformed) -> RedisValue? {
        guard let line = try line(), let kind = line.first else { return nil }
        let rest = line.dropFirst()
        switch kind {
        case UInt8(ascii: "+"): return .text(Array(rest))
        case UInt8(ascii: "-"): return .error(String(decoding: rest, as: UTF8.self))
        case UInt8(ascii: ":"): return .integer(try Self.number(rest))
        case UInt8(ascii: "$"): return try text(Self.number(rest))
        case UInt8(ascii: "*"): return try array(Self.number(rest), depth)
        default: throw Malformed()
        }
    }

    private mutating func text(_ length: Int64) throws(Malformed) -> RedisValue? {
        guard length >= 0 else { return .null }
        guard length <= Self.maximumBytes else { throw Malformed() }
        let end = place + Int(length)
        guard end + 2 <= bytes.count else { return nil }
        defer { place = end + 2 }
        return .text(Array(bytes[place..<end]))
    }

    private mutating func array(_ count: Int64, _ depth: Int) throws(Malformed) -> RedisValue? {
        guard count >= 0 else { return .null }
        guard depth < Self.maximumDepth, count <= Self.maximumBytes else { throw Malformed() }
        var elements: [RedisValue] = []
        for _ in 0..<count {
            guard let element = try value(depth: depth + 1) else { return nil }
            elements.append(element)
        }
        return .array(elements)
    }

    private mutating func line() throws(Malformed) -> ArraySlice<UInt8>? {
        guard let end = bytes[place...].firstIndex(of: UInt8(ascii: "\r")), end + 1 < bytes.count else { return nil }
        guard end > place, bytes[end + 1] == UInt8(ascii: "\n") else { throw Malformed() }
        defer { place = end + 2 }
        return bytes[place..<end]
    }

    private static func number(_ digits: ArraySlice<UInt8>) throws(Malformed) -> Int64 {
        guard let number = Int64(String(decoding: digits, as: UTF8.self)) else { throw Malformed() }
        return number
    }
}
