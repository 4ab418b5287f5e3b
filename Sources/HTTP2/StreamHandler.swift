/// Who answers the requests of a ``ServerSession``. Called from within the session's `receive` and `flush`; may answer there, or later.
public protocol StreamHandler: AnyObject {
    /// A request's header section is complete; its pseudo-header fields are sound (RFC 9113 §8.3.1).
    ///
    /// - Parameters:
    ///   - headers: the pseudo-header fields first. They are those of another request once this returns.
    ///   - isEnd: whether there is no content.
    func received(_ headers: FieldSection, of stream: ServerStream, isEnd: Bool)
    /// Some of a request's content. What is not consumed (``ServerStream/consume(_:)``) keeps the client from sending more.
    func received(_ content: Span<UInt8>, on stream: ServerStream)
    /// A request is complete; ``ServerStream/trailers`` holds its trailer section, if it had one.
    func received(endOf stream: ServerStream)
    /// There is room for more of the answer's content, on a stream whose ``ServerStream/unsentByteCount`` has fallen to 0.
    func hasRoom(on stream: ServerStream)
    /// The stream is over, in whichever way, and may not be used any more.
    func closed(_ stream: ServerStream, _ code: ErrorCode)
}
