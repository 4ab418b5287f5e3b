import Bytes
import HTTP2
import HTTPMessage
import Testing

@testable import ReverseProxy

@Suite struct `A response's head for HTTP 2` {
    private var head = WrittenHead()

    private mutating func read(_ text: String, answering method: Method = .get, isWebSocket: Bool = false) throws -> [String] {
        let buffer = ByteBuffer(capacity: 64)
        // So that its places are not those of the storage.
        buffer.append("sent")
        buffer.append(utf8: text)
        buffer.consume(4)
        try head.read(buffer, answering: method, isWebSocket: isWebSocket)
        return fields(in: buffer)
    }

    private func fields(in buffer: ByteBuffer) -> [String] {
        let bytes = buffer.bytes
        return head.fields.map { "\(bytes.extracting($0.name).text): \(bytes.extracting($0.value).text)" }
    }

    @Test mutating func `has no field that concerns a connection`() throws {
        let text = """
            HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Empty:\r\nETag: \t"A:b" \r\nConnection: close\r\nKeep-Alive: timeout=5\r
            Upgrade: h2c\r\nContent-Length: 12\r\n\r\n
            """
        let fields = try read(text + "body: x\r\n")
        #expect(fields == [":status: 200", "Content-Type: text/plain", "X-Empty: ", "ETag: \"A:b\"", "Content-Length: 12"])
        #expect(head.status == 200 && head.framing == .length(12) && !head.isInterim)
        #expect(head.byteCount == text.utf8.count)
    }

    @Test mutating func `says how the content is framed`() throws {
        let chunked = "Transfer-Encoding: chunked\r\n\r\n"
        #expect(try read("HTTP/1.1 200 \r\n" + chunked) == [":status: 200"] && head.framing == .chunked)
        #expect(try read("HTTP/1.1 200 OK\r\n\r\n") == [":status: 200"] && head.framing == .untilClose)
        #expect(try read("HTTP/1.1 204 No Content\r\n\r\n") == [":status: 204"] && head.framing == .none)
        #expect(try read("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n").count == 2 && head.framing == .none)
        #expect(try read("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", answering: .head).last == "Content-Length: 7" && head.framing == .none)
        #expect(try read("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").last == "Link: </a>" && head.framing == .none && head.isInterim)
    }

    @Test mutating func `tells of a switch to a WebSocket as of a success`() throws {
        let text = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: x\r\nA: b\r\n\r\n"
        #expect(try read(text, isWebSocket: true) == [":status: 200", "A: b"] && head.hasSwitched)
        #expect(try read("HTTP/1.1 401 No\r\n\r\n", isWebSocket: true) == [":status: 401"] && !head.hasSwitched)
    }

    @Test mutating func `is the same where it is noted while it is written`() throws {
        let answer = ByteBuffer(capacity: 64)
        answer.append("HTTP/1.1 200 OK\r\nETag: \t\"A:b\" \r\nConnection: close\r\nX-Empty:\r\n\r\n")
        var parsed = ResponseHead()
        try parsed.parse(answer.bytes, byteCount: answer.count, answering: .get)
        let buffer = ByteBuffer(capacity: 64)
        buffer.append("HTTP/1.1 404 Not Found\r\n")
        head.begin(404)
        for line in parsed.fields where line.kind == .other {
            head.note(line, movedBy: buffer.count - line.line.start)
            buffer.append(line.line.bytes(in: answer.bytes))
        }
        head.skip(to: buffer.count)
        head.noteLine("A".utf8.count, endingAt: buffer.count)
        buffer.append("B-c: d\r\n")
        head.noteLine("B-c".utf8.count, endingAt: buffer.count)
        buffer.append("Content-Length: 5\r\n")
        head.noteLine("Content-Length".utf8.count, endingAt: buffer.count)
        buffer.append("Connection: close\r\n\r\n")
        head.end(.length(5), at: buffer.count)
        let text = buffer.bytes.text
        WrittenHead.nameStatus(in: buffer)
        let noted = (fields(in: buffer), head.status, head.framing, head.byteCount)
        #expect(noted.0 == [":status: 404", "ETag: \"A:b\"", "X-Empty: ", "B-c: d", "Content-Length: 5"])
        let isTheSame = try read(text) == noted.0 && (head.status, head.framing, head.byteCount) == (noted.1, noted.2, noted.3)
        #expect(isTheSame && !head.hasSwitched)
    }

    @Test(arguments: [
        "", "HTTP/1.1 200 OK", "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 999 OK\r\n\r\n", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n",
        "HTTP/1.1 200 OK\r\nA: b\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n\rX", "HTTP/1.1 200 OK\r\nA:\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 1:0 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\nA: b\r\n\r\n", "HTTP/1.1 200 OK\r\n: b\r\n\r\n",
    ])
    mutating func `is none where it is not whole, or not as the proxy writes it`(_ text: String) {
        #expect(throws: MessageRefusal.self) { try read(text) }
    }
}
