import PolicyProtocol

/// What one policy daemon said of itself: good for the life of one connection.
public final class PolicySession {
    public let hello: DaemonHello
    /// The headers a CHECK shall carry, in lower case.
    public let wantedHeaders: [[UInt8]]

    init(_ hello: DaemonHello) {
        self.hello = hello
        wantedHeaders = hello.wantedHeaders.map { Array($0.utf8) }
    }
}
