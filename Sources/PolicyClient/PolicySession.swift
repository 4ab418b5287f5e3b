import Bytes
import PolicyProtocol

/// What one policy daemon said of itself: good for the life of one connection.
public final class PolicySession {
    public let hello: DaemonHello
    /// The headers a CHECK shall carry, in lower case.
    public let wantedHeaders: [[UInt8]]
    /// The headers that no client may bring to an upstream, in lower case.
    public let ownedHeaders: [[UInt8]]
    // Of each: nearly every name is told from them by its own.
    private let wantedNameBits: UInt64
    private let ownedNameBits: UInt64

    init(_ hello: DaemonHello) {
        self.hello = hello
        wantedHeaders = hello.wantedHeaders.map { Array($0.utf8) }
        ownedHeaders = hello.ownedHeaders.map { Array($0.utf8) }
        wantedNameBits = wantedHeaders.reduce(0) { $0 | $1.span.foldedNameBit }
        ownedNameBits = ownedHeaders.reduce(0) { $0 | $1.span.foldedNameBit }
    }

    /// Whether a header with this ``Span/foldedNameBit`` may be one of ``wantedHeaders``.
    public func mayWant(_ nameBit: UInt64) -> Bool { wantedNameBits & nameBit != 0 }

    /// Whether a header with this ``Span/foldedNameBit`` may be taken for one of ``ownedHeaders``.
    public func mayOwn(_ nameBit: UInt64) -> Bool { ownedNameBits & nameBit != 0 }
}
