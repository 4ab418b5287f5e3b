import Bytes

/// Something that reads hostile bytes: whatever they are, it may refuse them and must not trap, hang or grow.
protocol Decoding {
    func decode(_ bytes: Span<UInt8>)
}

/// The decoders by name; Tests/Fuzz/run knows where the seeds of each are.
enum Decoder {
    private static let all: [(name: String, make: @Sendable () throws -> any Decoding)] = [
        ("gatehouse", { try SessionDecoder(.gatehouse) }),
        ("http", { try SessionDecoder(.http) }),
        ("grpc", { try SessionDecoder(.grpc) }),
        ("spop", { try SessionDecoder(.spop) }),
        ("request", { RequestDecoder() }),
        ("response", { ResponseDecoder() }),
        ("chunked", { ChunkedBodyDecoder() }),
        ("envoy", { EnvoyDecoder() }),
        ("verdict", { VerdictDecoder() }),
        ("json", { JSONDecoder() }),
        ("token", { try TokenDecoder() }),
        ("keys", { KeysDecoder() }),
    ]

    static var names: [String] { all.map(\.name) }

    static func named(_ name: String) throws -> (any Decoding)? { try all.first { $0.name == name }?.make() }
}
