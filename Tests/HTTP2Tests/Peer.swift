import Bytes
import HTTP2
import Testing

/// A client made of bytes: writes frames, HPACK without its tables, and reads what comes back.
final class Peer: StreamHandler {
    static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    struct Frame: Equatable {
        let type: UInt8
        let flags: UInt8
        let stream: Int
        let payload: [UInt8]
    }

    let session: ServerSession
    private(set) var requests: [(id: Int32, fields: [String: String])] = []
    private(set) var contents: [Int32: [UInt8]] = [:]
    private(set) var ended: [Int32] = []
    /// The streams that there was room on for more of their answer.
    private(set) var rooms: [Int32] = []
    private(set) var closings: [Int32: ErrorCode] = [:]
    var streams: [Int32: ServerStream] = [:]
    /// Answer each request with 200 once it has ended.
    var answers = true
    var consumes = true
    var nowMilliseconds: Int64 = 0

    init(_ limits: SessionLimits = SessionLimits()) {
        session = ServerSession(limits, output: ByteBuffer(capacity: 1024), blocks: SpareBlocks())
    }

    /// Sends the preface and SETTINGS, and forgets the answer.
    func greet() {
        receive(Self.preface + frame(4, 0, 0, []))
        session.output.clear()
    }

    /// Greets, and opens the first stream by a request that isn't answered of itself.
    func openStream() throws -> ServerStream {
        answers = false
        greet()
        receive(headers(1))
        return try #require(streams[1])
    }

    func receive(_ bytes: [UInt8]) {
        let input = ByteBuffer(capacity: 64)
        input.append(bytes)
        session.receive(input, for: self, nowMilliseconds: nowMilliseconds)
    }

    func frame(_ type: UInt8, _ flags: UInt8, _ stream: Int, _ payload: [UInt8]) -> [UInt8] {
        let count = payload.count
        return [UInt8(count >> 16), UInt8(count >> 8 & 0xFF), UInt8(count & 0xFF), type, flags]
            + (0..<4).map { UInt8(stream >> (24 - 8 * $0) & 0xFF) } + payload
    }

    /// Literal fields without indexing (RFC 7541 §6.2.2).
    func block(_ fields: [(String, String)]) -> [UInt8] {
        fields.flatMap { [0] + string($0.0) + string($0.1) }
    }

    func headers(
        _ stream: Int, _ fields: [(String, String)] = [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "a")],
        isEnd: Bool = true
    ) -> [UInt8] {
        frame(1, isEnd ? 0x5 : 0x4, stream, block(fields))
    }

    private func string(_ text: String) -> [UInt8] {
        let bytes = Array(text.utf8)
        guard bytes.count >= 127 else { return [UInt8(bytes.count)] + bytes }
        var rest = bytes.count - 127
        var length: [UInt8] = [127]
        while rest >= 128 {
            length.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        return length + [UInt8(rest)] + bytes
    }

    /// What was sent since the last look.
    func frames() -> [Frame] {
        let output = session.output
        var frames: [Frame] = []
        while output.count >= 9 {
            let count = Int(output[0]) << 16 | Int(output[1]) << 8 | Int(output[2])
            let bytes = output.bytes
            frames.append(
                Frame(
                    type: output[3], flags: output[4],
                    stream: Int(output[5]) << 24 | Int(output[6]) << 16 | Int(output[7]) << 8 | Int(output[8]),
                    payload: bytes.extracting(9..<9 + count).array))
            output.consume(9 + count)
        }
        return frames
    }

    /// The error code of the GOAWAY that was sent, if one was.
    func goAway() -> UInt8? { frames().last { $0.type == 7 }?.payload[7] }

    /// The error code of the RST_STREAM that was sent, if one was.
    func reset() -> UInt8? { frames().last { $0.type == 3 }?.payload[3] }

    // MARK: StreamHandler

    func received(_ headers: FieldSection, of stream: ServerStream, isEnd: Bool) {
        streams[stream.id] = stream
        var fields: [String: String] = [:]
        for field in headers.fields { fields[headers.bytes.extracting(field.name).text] = headers.bytes.extracting(field.value).text }
        requests.append((stream.id, fields))
    }

    func received(_ content: Span<UInt8>, on stream: ServerStream) {
        contents[stream.id, default: []] += content.array
        if consumes { stream.consume(content.count) }
    }

    func received(endOf stream: ServerStream) {
        ended.append(stream.id)
        if answers { stream.answer(FieldList([(":status", "200")]), isEnd: true) }
    }

    func hasRoom(on stream: ServerStream) { rooms.append(stream.id) }

    func closed(_ stream: ServerStream, _ code: ErrorCode) {
        closings[stream.id] = code
        streams[stream.id] = nil
    }
}
