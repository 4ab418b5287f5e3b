import Bytes
import HTTP2
import HTTPMessage

/// A response's head as the proxy itself writes it for a client of HTTP/1.1, made one of HTTP/2 where it stands: with names in lower
/// case, `:status` in place of the version, and without the fields that concern a connection (RFC 9113 §8.2, §8.3.2).
struct WrittenHead {
    /// Room for so many fields is made at first.
    private static let usualFieldCount = 24
    private static let statusName: StaticString = ":status"
    /// Where the digits of the status stand behind `HTTP/1.1 `.
    private static let statusRange = 9..<12

    private(set) var status: UInt16 = 0
    /// Whether it stands for a switch to a WebSocket.
    private(set) var hasSwitched = false
    private(set) var framing = BodyFraming.none
    /// `:status` first.
    private(set) var fields: [FieldList.Field] = []
    /// How many bytes the head takes, its empty line included.
    private(set) var byteCount = 0

    var isInterim: Bool { status < 200 }

    /// Reads the head at the front of `buffer`, which has to be whole.
    ///
    /// - Parameters:
    ///   - method: of the request it answers.
    ///   - isWebSocket: whether the request asks for one by CONNECT: 101 is then told as 200, and without `Sec-WebSocket-Accept` (RFC 8441 §5).
    /// - Throws: where that is no head.
    mutating func read(_ buffer: ByteBuffer, answering method: Method, isWebSocket: Bool) throws(MessageRefusal) {
        fields.removeAll(keepingCapacity: true)
        if fields.capacity == 0 { fields.reserveCapacity(Self.usualFieldCount) }
        framing = .untilClose
        var start = try readStatusLine(buffer, isWebSocket: isWebSocket)
        while buffer.count >= start + 2, buffer[start] != 0x0D {
            start = try readField(buffer, from: start, isWebSocket: isWebSocket)
        }
        guard buffer.count >= start + 2, buffer[start + 1] == 0x0A else { throw Self.malformed }
        byteCount = start + 2
        if method == .head || isInterim || status == 204 || status == 304 { framing = .none }
    }

    private static let malformed = MessageRefusal("There is no response head.")

    /// - Returns: where the fields begin.
    private mutating func readStatusLine(_ buffer: ByteBuffer, isWebSocket: Bool) throws(MessageRefusal) -> Int {
        guard let lineFeed = buffer.bytes.firstIndex(of: 0x0A, from: 0), lineFeed >= 13 else { throw Self.malformed }
        status = 0
        for index in Self.statusRange {
            guard let digit = buffer[index].hexadecimalValue, digit < 10 else { throw Self.malformed }
            status = status &* 10 &+ UInt16(digit)
        }
        guard status >= 100, status <= 599 else { throw Self.malformed }
        hasSwitched = isWebSocket && status == 101
        if hasSwitched {
            status = 200
            buffer[9] = UInt8(ascii: "2")
            for index in 10..<12 { buffer[index] = UInt8(ascii: "0") }
        }
        let nameCount = Self.statusName.utf8CodeUnitCount
        for index in 0..<nameCount { buffer[index] = unsafe Self.statusName.utf8Start[index] }
        fields.append(FieldList.Field(name: 0..<nameCount, value: Self.statusRange))
        return lineFeed + 1
    }

    /// - Returns: where the next line begins.
    private mutating func readField(_ buffer: ByteBuffer, from start: Int, isWebSocket: Bool) throws(MessageRefusal) -> Int {
        guard let lineFeed = buffer.bytes.firstIndex(of: 0x0A, from: start), buffer[lineFeed - 1] == 0x0D,
            let colon = buffer.bytes.firstIndex(of: UInt8(ascii: ":"), from: start), colon > start, colon < lineFeed - 1
        else { throw Self.malformed }
        buffer.lowercaseASCII(in: start..<colon)
        let bytes = buffer.bytes
        let name = bytes.extracting(start..<colon)
        let value = bytes.withoutBlanks(colon + 1..<lineFeed - 1)
        switch FieldKind.of(name) {
        case .connection, .hopByHop: break
        case .transferEncoding: framing = .chunked
        case .contentLength:
            framing = .length(try BodyFraming.contentLength(bytes.extracting(value)))
            fields.append(FieldList.Field(name: start..<colon, value: value))
        default:
            if isWebSocket, name.equals("sec-websocket-accept") { break }
            fields.append(FieldList.Field(name: start..<colon, value: value))
        }
        return lineFeed + 1
    }
}
