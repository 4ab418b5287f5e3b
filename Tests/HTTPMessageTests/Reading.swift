import Bytes
import HTTPMessage
import Testing

/// What became of a message: everything a test compares.
enum Outcome<Value: Equatable>: Equatable {
    case accepted(Value)
    /// By the status: which of two mistakes is seen first, and named, may depend on what has come.
    case refused(status: UInt16)
    case needsMoreBytes
}

struct Field: Equatable, CustomStringConvertible {
    let name: String
    let value: String
    var description: String { "\(name): \(value)" }
}

/// A request as its head says, ranges turned into text.
struct ReadRequest: Equatable {
    var method = ""
    var target = ""
    var path = ""
    var host = ""
    var minorVersion = 1
    var framing = BodyFraming.none
    var keepsAlive = true
    var expectsContinue = false
    var hasEncodedSlash = false
    var fields: [Field] = []
    var byteCount = 0
}

struct ReadResponse: Equatable {
    var status: UInt16 = 0
    var reason = ""
    var minorVersion = 1
    var framing = BodyFraming.none
    var keepsAlive = true
    var fields: [Field] = []
    var byteCount = 0
}

func texts(_ fields: [FieldLine], in bytes: Span<UInt8>) -> [Field] {
    var read: [Field] = []
    for field in fields {
        // The three ranges must agree with one another wherever the message is.
        #expect(field.line.start == field.name.start && field.line.end == field.value.end + trailingBlanks(field, bytes) + 2)
        read.append(Field(name: field.name.bytes(in: bytes).text, value: field.value.bytes(in: bytes).text))
    }
    return read
}

private func trailingBlanks(_ field: FieldLine, _ bytes: Span<UInt8>) -> Int {
    var count = 0
    while bytes[field.value.end + count] == 0x20 || bytes[field.value.end + count] == 0x09 { count += 1 }
    return count
}

/// Reads a request as the proxy does, from bytes that come in the pieces which `cuts` make of them.
func readRequest(_ message: [UInt8], cuts: [Int] = [], limits: HeadLimits = HeadLimits()) -> Outcome<ReadRequest> {
    let buffer = ByteBuffer(capacity: 64)
    var scanner = HeadScanner()
    var head = RequestHead()
    do throws(MessageRefusal) {
        guard let end = try arrival(of: message, cuts, into: buffer, &scanner, limits) else { return .needsMoreBytes }
        try head.parse(buffer.bytes, byteCount: end, limits: limits)
        let target = try RequestTarget.normalize(head, in: buffer)
        let bytes = buffer.bytes
        return .accepted(
            ReadRequest(
                method: head.methodName.bytes(in: bytes).text, target: target.range.bytes(in: bytes).text,
                path: target.path.bytes(in: bytes).text, host: head.host.bytes(in: bytes).text,
                minorVersion: head.minorVersion, framing: head.framing, keepsAlive: head.keepsAlive,
                expectsContinue: head.expectsContinue, hasEncodedSlash: target.hasEncodedSlash,
                fields: texts(head.fields, in: bytes), byteCount: head.byteCount))
    } catch {
        return .refused(status: error.status)
    }
}

func readResponse(_ message: [UInt8], cuts: [Int] = [], answering method: HTTPMessage.Method = .get) -> Outcome<ReadResponse> {
    let buffer = ByteBuffer(capacity: 64)
    var scanner = HeadScanner()
    var head = ResponseHead()
    do throws(MessageRefusal) {
        guard let end = try arrival(of: message, cuts, into: buffer, &scanner, HeadLimits()) else { return .needsMoreBytes }
        try head.parse(buffer.bytes, byteCount: end, answering: method)
        let bytes = buffer.bytes
        return .accepted(
            ReadResponse(
                status: head.status, reason: head.reason.bytes(in: bytes).text, minorVersion: head.minorVersion,
                framing: head.framing, keepsAlive: head.keepsAlive, fields: texts(head.fields, in: bytes),
                byteCount: head.byteCount))
    } catch {
        return .refused(status: error.status)
    }
}

private func arrival(
    of message: [UInt8], _ cuts: [Int], into buffer: ByteBuffer, _ scanner: inout HeadScanner, _ limits: HeadLimits
) throws(MessageRefusal) -> Int? {
    var start = 0
    for cut in cuts + [message.count] {
        buffer.append(Array(message[start..<cut]))
        start = cut
        guard let end = try scanner.findEnd(in: buffer.bytes, limits: limits) else { continue }
        // A head that came whole stays whole when what follows it comes.
        buffer.append(Array(message[start...]))
        return end
    }
    return nil
}

/// Holds `read` to one outcome, however the message is split in two, and where it comes byte by byte.
func whateverTheSplit<Value: Equatable>(_ message: [UInt8], _ read: (_ cuts: [Int]) -> Outcome<Value>) -> Outcome<Value> {
    let whole = read([])
    // Long messages are there for their length alone, and are cut at some bytes only.
    let step = message.count < 2_000 ? 1 : message.count / 97
    for cut in stride(from: 1, to: message.count, by: step) {
        #expect(read([cut]) == whole, "split at \(cut)")
    }
    if message.count < 2_000 { #expect(read(Array(1..<max(message.count, 1))) == whole, "byte by byte") }
    return whole
}

func request(_ text: String, limits: HeadLimits = HeadLimits()) -> Outcome<ReadRequest> { request(Array(text.utf8), limits: limits) }

func request(_ message: [UInt8], limits: HeadLimits = HeadLimits()) -> Outcome<ReadRequest> {
    whateverTheSplit(message) { readRequest(message, cuts: $0, limits: limits) }
}

func response(_ text: String, answering method: HTTPMessage.Method = .get) -> Outcome<ReadResponse> {
    let message = Array(text.utf8)
    return whateverTheSplit(message) { readResponse(message, cuts: $0, answering: method) }
}

extension Outcome {
    var accepted: Value? { if case .accepted(let value) = self { value } else { nil } }
    /// The status of the refusal; nil where there is none.
    var refusal: Int? { if case .refused(let status) = self { Int(status) } else { nil } }
}
