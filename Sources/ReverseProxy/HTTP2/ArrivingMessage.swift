import Bytes
import EventLoop
import HTTP2
import HTTPMessage

/// What of an HTTP/2 message has come and an ``Exchange`` has not taken yet, in the order in which it takes it as HTTP/1.1: heads,
/// content, and the end.
struct ArrivingMessage {
    /// What one attempt to take came to.
    enum Taken {
        /// There is nothing to take now.
        case nothing
        /// What is no content.
        case text
        /// So many bytes of content: their sender may send as many again.
        case content(Int)
        /// The end, where nothing tells of it but that no more comes.
        case end
    }

    /// Heads, as HTTP/1.1 has them.
    let text = ByteBuffer(capacity: 16)
    let content = ByteBuffer(capacity: 16)
    /// Whether the content goes on in chunks, with the trailers behind it.
    var isChunked = false
    /// Whether all of it has come.
    private(set) var isOver = false
    /// Whether nobody has to be told of the end any more.
    var isEndTaken = false
    private var trailers = FieldList()

    var isEmpty: Bool { text.isEmpty && content.isEmpty && (!isOver || isEndTaken) }

    mutating func end(trailers: FieldList) {
        isOver = true
        self.trailers = trailers
    }

    /// Moves some of it to `buffer`, content at most until that is full.
    ///
    /// - Parameter pool: gets the storage of what is empty then.
    mutating func take(into buffer: ByteBuffer, room: Int, _ pool: BufferPool) -> Taken {
        let (text, content) = (text, content)
        if !text.isEmpty {
            buffer.append(text.bytes)
            text.clear()
            pool.strip(text)
            return .text
        }
        if !content.isEmpty {
            let byteCount = min(content.count, max(room, buffer.capacity - buffer.count - 32))
            let bytes = content.bytes.extracting(0..<byteCount)
            if isChunked { buffer.append(chunk: bytes) } else { buffer.append(bytes) }
            content.consume(byteCount)
            pool.strip(content)
            return .content(byteCount)
        }
        guard isOver, !isEndTaken else { return .nothing }
        isEndTaken = true
        guard isChunked else { return .end }
        buffer.append("0\r\n")
        let bytes = trailers.bytes.span
        for field in trailers.fields {
            let (name, value) = (bytes.extracting(field.name), bytes.extracting(field.value))
            guard FieldText.isToken(name), FieldText.isValue(value) else { continue }
            buffer.append(field: name, value)
        }
        buffer.append("\r\n")
        return .text
    }

    /// Drops what has not been taken; `pool` gets its storage.
    func drop(_ pool: BufferPool) {
        text.clear()
        content.clear()
        pool.strip(text)
        pool.strip(content)
    }
}
