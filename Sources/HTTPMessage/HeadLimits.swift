/// What a message's head may take.
public struct HeadLimits: Sendable, Equatable {
    /// Bytes of the request line or status line, its CRLF not counted. Beyond it a request is refused with 414.
    public var requestLineBytes = 8_192
    /// Bytes of all field lines together, CRLFs counted. Beyond it a request is refused with 431.
    public var headerBytes = 32_768
    /// Field lines. Beyond it a request is refused with 431.
    public var headerCount = 100

    public init() {}

    /// Bytes of a chunk's size and extensions, CRLF not counted (RFC 9112 §7.1.1): what they say is thrown away.
    static let chunkLineBytes = 256
}
