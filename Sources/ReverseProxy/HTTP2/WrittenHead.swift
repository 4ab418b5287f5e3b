import Bytes
import HTTP2
import HTTPMessage

/// A response's head as the proxy itself writes it for a client of HTTP/1.1, made one of HTTP/2 where it stands: with `:status` in place
/// of the version, and without the fields that concern a connection (RFC 9113 §8.2, §8.3.2).
///
/// What it is made of is noted while the head is written, or else read from the text.
struct WrittenHead {
    /// Room for so many fields is made at first.
    private static let usualFieldCount = 24
    private static let statusName: StaticString = ":status"
    /// The name in place of `HTTP/1.1`, whose last byte is not part of it, and the digits behind that.
    private static let statusField = FieldList.Field(name: 0..<7, value: 9..<12)

    private(set) var status: UInt16 = 0
    /// Whether it stands for a switch to a WebSocket.
    private(set) var hasSwitched = false
    private(set) var framing = BodyFraming.none
    /// `:status` first. Names are as they are written.
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
        removeFields()
        framing = .untilClose
        var start = try readStatusLine(buffer, isWebSocket: isWebSocket)
        while buffer.count >= start + 2, buffer[start] != 0x0D {
            start = try readField(buffer, from: start, isWebSocket: isWebSocket)
        }
        guard buffer.count >= start + 2, buffer[start + 1] == 0x0A else { throw Self.malformed }
        byteCount = start + 2
        if method == .head || isInterim || status == 204 || status == 304 { framing = .none }
    }

    // MARK: Noted while it is written

    // In the order in which it is written: ``begin(_:)`` behind the status line, then a note of each field line, which is a name, a colon, a blank and a
    // value without blanks around it, or ``skip(to:)``, and ``end(_:at:)``. What clients of HTTP/2 don't get (framing, `Connection`) comes last: it
    // has no note.

    /// Makes the text of the head, which stands at the front of `buffer`, what is noted of it.
    static func nameStatus(in buffer: ByteBuffer) { buffer.overwrite(statusName, at: statusField.name.lowerBound) }

    /// - Parameter status: of a final response, to a request for no WebSocket.
    mutating func begin(_ status: UInt16) {
        removeFields()
        self.status = status
        hasSwitched = false
        fields.append(Self.statusField)
    }

    /// Notes a line of another head that is copied into this one.
    ///
    /// - Parameter distance: from where it stands there to where it will stand here, in bytes.
    mutating func note(_ line: FieldLine, movedBy distance: Int) {
        let (name, value) = (line.name, line.value)
        fields.append(FieldList.Field(name: name.start + distance..<name.end + distance, value: value.start + distance..<value.end + distance))
    }

    /// What has been written last, up to `end`, is noted already, or is no field.
    mutating func skip(to end: Int) { byteCount = end }

    /// Notes the line that has been written last, if one has been: it ends at `end`.
    mutating func noteLine(_ nameByteCount: Int, endingAt end: Int) {
        guard end > byteCount else { return }
        let nameEnd = byteCount + nameByteCount
        fields.append(FieldList.Field(name: byteCount..<nameEnd, value: nameEnd + 2..<end - 2))
        byteCount = end
    }

    /// - Parameter end: of the head, its empty line included.
    mutating func end(_ framing: BodyFraming, at end: Int) {
        self.framing = framing
        byteCount = end
    }

    // MARK: Read from the text

    private mutating func removeFields() {
        fields.removeAll(keepingCapacity: true)
        if fields.capacity == 0 { fields.reserveCapacity(Self.usualFieldCount) }
    }

    private static let malformed = MessageRefusal("There is no response head.")

    /// - Returns: where the fields begin.
    private mutating func readStatusLine(_ buffer: ByteBuffer, isWebSocket: Bool) throws(MessageRefusal) -> Int {
        guard let lineFeed = buffer.bytes.firstIndex(of: 0x0A, from: 0), lineFeed >= 13 else { throw Self.malformed }
        status = 0
        for index in Self.statusField.value {
            guard let digit = buffer[index].hexadecimalValue, digit < 10 else { throw Self.malformed }
            status = status &* 10 &+ UInt16(digit)
        }
        guard status >= 100, status <= 599 else { throw Self.malformed }
        hasSwitched = isWebSocket && status == 101
        if hasSwitched {
            status = 200
            buffer.overwrite("200", at: Self.statusField.value.lowerBound)
        }
        fields.append(Self.statusField)
        Self.nameStatus(in: buffer)
        return lineFeed + 1
    }

    /// - Returns: where the next line begins.
    private mutating func readField(_ buffer: ByteBuffer, from start: Int, isWebSocket: Bool) throws(MessageRefusal) -> Int {
        guard let lineFeed = buffer.bytes.firstIndex(of: 0x0A, from: start), buffer[lineFeed - 1] == 0x0D,
            let colon = buffer.bytes.firstIndex(of: UInt8(ascii: ":"), from: start), colon > start, colon < lineFeed - 1
        else { throw Self.malformed }
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
            if isWebSocket, name.equalsIgnoringCase("sec-websocket-accept") { break }
            fields.append(FieldList.Field(name: start..<colon, value: value))
        }
        return lineFeed + 1
    }
}
