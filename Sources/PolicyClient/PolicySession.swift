import Bytes
import PolicyProtocol

/// What one policy daemon said of itself: good for the life of one connection.
public final class PolicySession {
    public let hello: DaemonHello
    /// The headers a CHECK shall carry, in lower case.
    public let wantedHeaders: [[UInt8]]

    private let wantedNameBits: UInt64

    init(_ hello: DaemonHello) {
        self.hello = hello
        wantedHeaders = hello.wantedHeaders.map { Array($0.utf8) }
        wantedNameBits = wantedHeaders.reduce(0) { $0 | $1.span.foldedNameBit }
    }

    /// Whether a header with this ``Span/foldedNameBit`` may be one of ``wantedHeaders``.
    public func mayWant(_ nameBit: UInt64) -> Bool { wantedNameBits & nameBit != 0 }
}
