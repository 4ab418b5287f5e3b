import Bytes

/// One request that was sent, and its answer. Good until its handler is told that it is closed.
public final class ClientStream {
    public let id: Int32
    /// The answer's fields, `:status` among them: of an interim one until the next comes.
    public internal(set) var headers = FieldList()
    /// The answer's trailer section; empty until it has come, or where there is none.
    public internal(set) var trailers = FieldList()
    /// What the handler keeps of this request.
    public var context: AnyObject?

    private unowned let session: ClientSession
    let unsent = ByteBuffer(capacity: 512)
    /// Fields of a section that has yet to end.
    var section = FieldList()
    var isContentOver = false
    var requestTrailers: FieldList?
    /// Whether the final answer's header section has come.
    public internal(set) var isAnswered = false
    /// Whether the answer, its content and trailers included, is complete.
    public internal(set) var isAnswerOver = false

    init(id: Int32, session: ClientSession) {
        self.id = id
        self.session = session
    }

    /// How much of the request's content waits for the server's window.
    public var unsentByteCount: Int { unsent.count }

    /// Adds to the request's content. All of it is kept until the server's window has room: look at ``unsentByteCount``.
    public func send(_ content: Span<UInt8>) {
        unsent.append(content)
        session.resume(self)
    }

    /// Ends the request behind what was sent.
    public func end(trailers: FieldList? = nil) {
        isContentOver = true
        requestTrailers = trailers
        session.resume(self)
    }

    /// Ends the stream at once.
    public func reset(_ code: ErrorCode) { session.reset(self, code) }

    /// Lets the server send as many bytes of content again.
    public func consume(_ byteCount: Int) { session.consume(byteCount, on: self) }
}

/// Who takes the answers of a ``ClientSession``. Called from within the session's `receive` and `flush`.
public protocol AnswerHandler: AnyObject {
    /// A header section of the answer is complete, an interim one where the stream is not ``ClientStream/isAnswered``.
    ///
    /// - Parameter isEnd: whether nothing follows.
    func received(headersOf stream: ClientStream, isEnd: Bool)
    /// Some of an answer's content. What is not consumed (``ClientStream/consume(_:)``) keeps the server from sending more.
    func received(_ content: Span<UInt8>, on stream: ClientStream)
    /// An answer is complete; ``ClientStream/trailers`` holds its trailer section, if it had one.
    func received(endOf stream: ClientStream)
    /// There is room for more of the request's content, on a stream whose ``ClientStream/unsentByteCount`` has fallen to 0.
    func hasRoom(on stream: ClientStream)
    /// The stream is over, in whichever way, and may not be used any more. ``ErrorCode/refusedStream``: nothing of the request was carried out.
    func closed(_ stream: ClientStream, _ code: ErrorCode)
}
