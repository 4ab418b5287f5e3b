import Bytes

/// One request and its answer. Good until its handler is told that it is closed.
public final class ServerStream {
    public let id: Int32
    /// The request's fields, the pseudo-header fields among them.
    public private(set) var headers = FieldList(roomForFields: 16)
    /// The request's trailer section; empty until it has come, or where there is none.
    public private(set) var trailers = FieldList()
    /// What the handler keeps of this request.
    public var context: AnyObject?

    private unowned let session: ServerSession
    let unsent: ByteBuffer
    var isAnswered = false
    var isContentOver = false
    var isRequestAbandoned = false
    /// What waited at the last ``ServerSession/resetStalled()``.
    var stalledByteCount: Int?
    /// Whether the answer's last frame is written.
    var isEndSent = false
    var answerTrailers: FieldList?
    /// More fields than the limit admits have come: the rest is not kept.
    var hasTooManyHeaders = false
    /// Whether the request, its content and trailers included, is complete.
    public internal(set) var isRequestOver = false

    init(id: Int32, session: ServerSession) {
        self.id = id
        self.session = session
        unsent = session.takeBuffer()
    }

    /// Takes in a field of the request.
    ///
    /// - Parameter maximumBytes: what a section may have; where it has more, the rest is not kept.
    func receive(field name: Span<UInt8>, _ value: Span<UInt8>, isTrailer: Bool, maximumBytes: Int) {
        guard !hasTooManyHeaders else { return }
        let isTaken = isTrailer
            ? trailers.append(name, value, maximumBytes: maximumBytes) : headers.append(name, value, maximumBytes: maximumBytes)
        if !isTaken { hasTooManyHeaders = true }
    }

    /// How much of the answer's content waits for the client's window.
    public var unsentByteCount: Int { unsent.count }

    /// Begins the answer.
    ///
    /// - Parameters:
    ///   - headers: `:status` first; names in lower case.
    ///   - isEnd: whether it has neither content nor trailers.
    public func answer(_ headers: FieldList, isEnd: Bool = false) {
        answer(headers.fields.span, in: headers.bytes.span, isEnd: isEnd)
    }

    /// Begins the answer with fields that lie in `bytes`, of which nothing is kept.
    public func answer(_ headers: Span<FieldList.Field>, in bytes: Span<UInt8>, isEnd: Bool) {
        session.answer(self, headers, in: bytes, isEnd: isEnd)
    }

    /// Sends an interim answer ahead of the answer (RFC 9113 §8.1).
    ///
    /// - Parameter headers: `:status` first, of 1xx; names in lower case.
    public func answerInterim(_ headers: Span<FieldList.Field>, in bytes: Span<UInt8>) {
        session.answerInterim(self, headers, in: bytes)
    }

    /// Adds to the answer's content. All of it is kept until the client's window has room: look at ``unsentByteCount`` where it may grow large.
    public func send(_ content: Span<UInt8>) {
        unsent.append(content)
        session.unsentByteCount += content.count
        session.resume(self)
    }

    /// Ends the answer behind what was sent.
    public func end(trailers: FieldList? = nil) {
        isContentOver = true
        answerTrailers = trailers
        session.resume(self)
    }

    /// Ends the stream at once.
    public func reset(_ code: ErrorCode) { session.reset(self, code) }

    /// Says that what is still to come of the request will not be read: once the answer is sent, the stream is reset without an error (RFC 9113 §8.1).
    public func abandonRequest() {
        isRequestAbandoned = true
        if isEndSent, !isRequestOver { reset(.noError) }
    }

    /// Lets the client send as many bytes of content again.
    public func consume(_ byteCount: Int) { session.consume(byteCount, on: self) }
}
