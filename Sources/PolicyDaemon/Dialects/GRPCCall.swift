import Bytes
import EnvoyProtocol
import HTTP2

/// Why a call ends without a message in answer.
struct GRPCStatus: Error {
    let code: GRPCStatusCode
    /// Visible ASCII and blanks, without a percent sign: it then needs no escapes.
    let message: String

    init(_ code: GRPCStatusCode, _ message: String) {
        self.code = code
        self.message = message
    }
}

/// One call under way: its message as far as it has come, and what its answer will need of it.
final class GRPCCall {
    /// What a message's length, and whether it is compressed, take before it.
    static let prefixByteCount = 5

    private(set) var method: GRPCMethod
    /// Nil once the stream is over: the verdict may still be on its way, and finds nobody.
    var stream: ServerStream?
    /// The prefix and the message. Kept until the answer, which looks at the request again.
    let content = ByteBuffer(capacity: 1024)
    private(set) var beganUnixMilliseconds: Int64
    /// Whether nothing more of the request is to come.
    var isRequestOver = false
    /// Of a Check: where its query lies in ``content``, nil where it has none.
    var query: Range<Int>?
    /// Of a Check: names of headers that a backend may fold into others, in ``content``.
    var foldableNames: [Range<Int>] = []

    init(_ method: GRPCMethod, _ stream: ServerStream, beganUnixMilliseconds: Int64) {
        self.beganUnixMilliseconds = beganUnixMilliseconds
        self.method = method
        self.stream = stream
    }

    /// Becomes another call.
    func begin(_ method: GRPCMethod, _ stream: ServerStream, beganUnixMilliseconds: Int64) {
        self.beganUnixMilliseconds = beganUnixMilliseconds
        self.method = method
        self.stream = stream
        isRequestOver = false
        query = nil
        if !foldableNames.isEmpty { foldableNames = [] }
    }

    /// Takes in some of the request's content.
    ///
    /// - Throws: as soon as it can't become one message, not compressed, of at most `maximumBytes`.
    func take(_ bytes: Span<UInt8>, maximumBytes: Int) throws(GRPCStatus) {
        guard content.count + bytes.count <= maximumBytes + Self.prefixByteCount else { throw Self.tooLarge(maximumBytes) }
        content.append(bytes)
        guard content.count >= Self.prefixByteCount else { return }
        guard content[0] != 1 else { throw GRPCStatus(.unimplemented, "compressed messages are not accepted, only identity") }
        guard content[0] == 0 else { throw GRPCStatus(.internal, "a message flag of \(content[0]), accepted: 0") }
        guard messageByteCount <= maximumBytes else { throw Self.tooLarge(maximumBytes) }
        guard content.count <= Self.prefixByteCount + messageByteCount else { throw GRPCStatus(.internal, "more than one message in a unary call") }
    }

    /// Where the message lies in ``content``, once the request is over.
    func message() throws(GRPCStatus) -> Range<Int> {
        guard content.count >= Self.prefixByteCount, content.count == Self.prefixByteCount + messageByteCount else {
            throw GRPCStatus(.internal, "a request that ends within its message, or has none")
        }
        return Self.prefixByteCount..<content.count
    }

    private var messageByteCount: Int {
        Int(content[1]) << 24 | Int(content[2]) << 16 | Int(content[3]) << 8 | Int(content[4])
    }

    private static func tooLarge(_ maximumBytes: Int) -> GRPCStatus {
        GRPCStatus(.resourceExhausted, "a message of more than \(maximumBytes) bytes")
    }
}
