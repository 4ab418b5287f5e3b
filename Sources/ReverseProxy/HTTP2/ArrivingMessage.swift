import Bytes
import EventLoop
import HTTP2
import HTTPMessage

/// What of an HTTP/2 message has come and an ``Exchange`` has not taken yet, in the order in which it takes it as HTTP/1.1: heads,
/// content, and the end.
final class ArrivingMessage {
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

    private let pool: BufferPool
    /// Heads of answers, as HTTP/1.1 has them (a request's head goes to its exchange at once); a lent buffer, while there is something in it.
    private var text: ByteBuffer?
    /// As well.
    private var content: ByteBuffer?
    /// Whether the content goes on in chunks, with the trailers behind it.
    var isChunked = false
    /// Whether all of it has come.
    private(set) var isOver = false
    /// Whether nobody has to be told of the end any more.
    var isEndTaken = false
    private var trailers = FieldList()

    /// - Parameter pool: where buffers are lent from.
    init(_ pool: BufferPool) { self.pool = pool }

    /// Begins with another message, now that nothing is left of the one before.
    func begin(isChunked: Bool, isEndTaken: Bool) {
        self.isChunked = isChunked
        self.isEndTaken = isEndTaken
        isOver = false
        if !trailers.isEmpty { trailers = FieldList() }
    }

    var isEmpty: Bool { text == nil && content == nil && (!isOver || isEndTaken) }
    var textByteCount: Int { text?.count ?? 0 }
    var contentByteCount: Int { content?.count ?? 0 }

    /// Where what is no content is to be written. ``dropText()`` unless something is.
    func textToWrite() -> ByteBuffer {
        let buffer = text ?? pool.take()
        text = buffer
        return buffer
    }

    func append(content bytes: Span<UInt8>) {
        guard !bytes.isEmpty else { return }
        let buffer = content ?? pool.take()
        content = buffer
        buffer.append(bytes)
    }

    func end(trailers: FieldList) {
        isOver = true
        self.trailers = trailers
    }

    /// Moves some of it to `buffer`, content at most until that is full.
    func take(into buffer: ByteBuffer, room: Int) -> Taken {
        if let text {
            buffer.append(text.bytes)
            dropText()
            return .text
        }
        if let content {
            let byteCount = min(content.count, max(room, buffer.capacity - buffer.count - 32))
            let bytes = content.bytes.extracting(0..<byteCount)
            if isChunked { buffer.append(chunk: bytes) } else { buffer.append(bytes) }
            content.consume(byteCount)
            if content.isEmpty { dropContent() }
            return .content(byteCount)
        }
        guard isOver, !isEndTaken else { return .nothing }
        isEndTaken = true
        guard isChunked else { return .end }
        buffer.append("0\r\n")
        let trailers = trailers
        let bytes = trailers.bytes.span
        for field in trailers.fields {
            let (name, value) = (bytes.extracting(field.name), bytes.extracting(field.value))
            guard FieldText.isToken(name), FieldText.isValue(value) else { continue }
            buffer.append(field: name, value)
        }
        buffer.append("\r\n")
        return .text
    }

    func dropText() {
        if let text { pool.give(text) }
        text = nil
    }

    private func dropContent() {
        if let content { pool.give(content) }
        content = nil
    }

    /// Drops what has not been taken.
    func drop() {
        dropText()
        dropContent()
    }
}
