import Bytes

/// One request and its answer. Good until its handler is told that it is closed.
///
/// What changes has no public storage: only then does the compiler know all accesses to it, and has none checked at run time.
public final class ServerStream {
    public var id: Int32 { identifier }
    /// The request's trailer section; empty until it has come, or where there is none.
    public var trailers: FieldList { trailerList }
    /// What the handler keeps of this request.
    public var context: AnyObject? {
        get { handlerContext }
        set { handlerContext = newValue }
    }
    /// Whether the request, its content and trailers included, is complete.
    public var isRequestOver: Bool { isRequestComplete }

    var identifier: Int32
    var trailerList = FieldList()
    private var handlerContext: AnyObject?
    var isRequestComplete = false
    private unowned let session: ServerSession
    let unsent = ByteBuffer(capacity: 512)
    var isAnswered = false
    var isContentOver = false
    var isRequestAbandoned = false
    /// What waited at the last ``ServerSession/resetStalled()``.
    var stalledByteCount: Int?
    /// Whether the answer's last frame is written.
    var isEndSent = false
    var answerTrailers: FieldList?
    /// More fields than the limit admits have come: the request is answered without a look.
    var hasTooManyHeaders = false
    init(id: Int32, session: ServerSession) {
        identifier = id
        self.session = session
    }

    /// Serves another request.
    func begin(_ id: Int32) { identifier = id }

    /// Forgets its request and the answer.
    ///
    /// - Returns: false where it holds so much storage that it is better let go of: one large message must not keep it for as long as the
    ///   connection lasts.
    func end() -> Bool {
        guard unsent.capacity <= Self.maximumKeptBytes else { return false }
        unsent.clear()
        if !trailerList.isEmpty { trailerList = FieldList() }
        answerTrailers = nil
        stalledByteCount = nil
        (isAnswered, isContentOver, isRequestAbandoned, isRequestComplete) = (false, false, false, false)
        (isEndSent, hasTooManyHeaders) = (false, false)
        return true
    }

    private static let maximumKeptBytes = 4 * 1024

    /// How much of the answer's content waits for the client's window.
    public var unsentByteCount: Int { unsent.count }

    /// Begins the answer.
    ///
    /// - Parameters:
    ///   - headers: `:status` first. Names may have capital letters: they are sent in lower case.
    ///   - isEnd: whether it has neither content nor trailers.
    public func answer(_ headers: FieldList, isEnd: Bool = false) {
        answer(headers.fields.span, in: headers.bytes.span, isEnd: isEnd)
    }

    /// Begins the answer with fields that lie in `bytes`, of which nothing is kept. Names may have capital letters: they are sent in lower case.
    public func answer(_ headers: Span<FieldList.Field>, in bytes: Span<UInt8>, isEnd: Bool) {
        session.answer(self, headers, in: bytes, isEnd: isEnd)
    }

    /// Sends an interim answer ahead of the answer (RFC 9113 §8.1).
    ///
    /// - Parameter headers: `:status` first, of 1xx. Names may have capital letters: they are sent in lower case.
    public func answerInterim(_ headers: Span<FieldList.Field>, in bytes: Span<UInt8>) {
        session.answerInterim(self, headers, in: bytes)
    }

    /// Adds to the answer's content. All of it is kept until the client's window has room: look at ``unsentByteCount`` where it may grow large.
    public func send(_ content: Span<UInt8>) {
        unsent.append(content)
        session.resume(self, with: content.count)
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
        if isEndSent, !isRequestComplete { reset(.noError) }
    }

    /// Lets the client send as many bytes of content again.
    public func consume(_ byteCount: Int) { session.consume(byteCount, on: self) }
}
