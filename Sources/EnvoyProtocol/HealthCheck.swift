import Bytes

/// `grpc.health.v1.Health/Check`: the request's one field, and the response.
public enum HealthCheck {
    /// The service that is asked about; empty for the server as a whole.
    public static func service(_ bytes: Span<UInt8>, _ message: Range<Int>) throws(MalformedMessage) -> Range<Int> {
        var service = 0..<0
        var reader = WireReader(message)
        while let (number, value) = try reader.next(in: bytes) {
            if number == 1 { service = try value.range(of: "service") }
        }
        return service
    }

    public static func write(isServing: Bool, to output: ByteBuffer) { output.append(field: 1, varint: isServing ? 1 : 2) }
}
