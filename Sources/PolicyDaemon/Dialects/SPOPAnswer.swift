import Bytes
import Policy
import PolicyProtocol

/// Writes verdicts as ACK frames: variables of the transaction, which HAProxy's rules then act upon. Under HAProxy's prefix
/// (`option var-prefix`) they are
///
/// - `allow` (boolean), `status` (200, or a denial's), `reason`, `subject` (empty where there is none), and `body` of a denial;
/// - `query`, where an allowed request's query is to be replaced;
/// - `request.NAME` for each header that the request is to have: those that the policy owns always, empty where they have no value;
///   empty too where one is to be taken out;
/// - `response.NAME` for each header of the response to the client.
///
/// NAME is the header's in lower case, `_` for what a variable's name can't have. Headers have a prefix of their own, so that one
/// called `Allow` is never taken for the decision.
struct SPOPAnswer {
    private let ownedHeaders: [[UInt8]]

    init(ownedHeaders: [String]) { self.ownedHeaders = ownedHeaders.map { Array($0.utf8) } }

    /// - Parameter maximumFrameBytes: as agreed. An answer that takes more becomes a denial that fits.
    func write(
        _ payload: Span<UInt8>, _ message: VerdictMessage, ids: SPOPFrameIDs, maximumFrameBytes: Int, to output: ByteBuffer
    ) {
        let start = output.count
        output.append(.ack, ids) { frame in write(payload, message, frame) }
        if output.count - start - SPOPFrame.lengthByteCount > maximumFrameBytes {
            output.truncate(to: start)
            output.append(.ack, ids) { frame in
                frame.set("allow", bool: false)
                frame.set("status", 500)
                frame.set("reason", text: Reason.verdictTooLarge.bytes.span)
            }
        }
    }

    /// - Returns: false, and nothing is written, where this has to be written as any other verdict.
    func write(_ allow: RepeatedAllow, ids: SPOPFrameIDs, maximumFrameBytes: Int, to output: ByteBuffer) -> Bool {
        let words = allow.words(.spop) { payload, message, frame in
            write(payload, message, frame)
            return frame.count
        }
        guard let words else { return false }
        let start = output.count
        output.append(.ack, ids) { frame in
            frame.append(words.text)
            var limits = Limits(frame: frame)
            allow.writeStandings(to: &limits)
        }
        guard output.count - start - SPOPFrame.lengthByteCount <= maximumFrameBytes else {
            output.truncate(to: start)
            return false
        }
        return true
    }

    private struct Limits: LimitFieldWriter {
        /// What sets the variable of each header, but for the value.
        private static let beginnings = LimitHeader.allCases.map { header in
            let text = ByteBuffer(capacity: 64)
            text.beginSet("response.", header.name.span)
            return text.bytes.array
        }
        let frame: ByteBuffer

        func set(_ header: LimitHeader, byteCount: Int, _ append: (ByteBuffer) -> Void) {
            frame.append(Self.beginnings[header.rawValue])
            frame.append(spopStringOf: byteCount)
            append(frame)
        }
    }

    private func write(_ payload: Span<UInt8>, _ message: VerdictMessage, _ frame: ByteBuffer) {
        let isAllowed = message.decision == .allow
        frame.set("allow", bool: isAllowed)
        frame.set("status", UInt32(message.status ?? 200))
        frame.set("reason", text: message.reason.bytes(in: payload))
        frame.set("subject", text: (message.subject ?? .empty).bytes(in: payload))
        if isAllowed {
            if let query = message.query { frame.set("query", text: query.bytes(in: payload)) }
            let request = FinalHeaders(.request, of: payload)
            for name in ownedHeaders where request.index(of: name.span, in: payload) == nil {
                frame.set("request.", name.span, Span())
            }
            for operation in request.operations {
                frame.set("request.", operation.name.bytes(in: payload), operation.value.bytes(in: payload))
            }
        } else {
            frame.set("body", text: message.body.bytes(in: payload))
        }
        for operation in FinalHeaders(.response, of: payload).operations where operation.kind == .set {
            frame.set("response.", operation.name.bytes(in: payload), operation.value.bytes(in: payload))
        }
    }
}

extension ByteBuffer {
    /// Begins a set-var in the scope of the transaction (SPOE.txt §3.4).
    private func beginSet() { append([1, 3, 2]) }

    fileprivate func set(_ name: StaticString, bool value: Bool) {
        beginSet()
        append(spopName: name)
        append(spopBool: value)
    }

    fileprivate func set(_ name: StaticString, _ value: UInt32) {
        beginSet()
        append(spopName: name)
        append(spopUInt32: value)
    }

    fileprivate func set(_ name: StaticString, text: Span<UInt8>) {
        beginSet()
        append(spopName: name)
        append(spopString: text)
    }

    fileprivate func set(_ prefix: StaticString, _ header: Span<UInt8>, _ value: Span<UInt8>) {
        beginSet(prefix, header)
        append(spopString: value)
    }

    fileprivate func beginSet(_ prefix: StaticString, _ header: Span<UInt8>) {
        beginSet()
        append(varint: UInt64(prefix.utf8CodeUnitCount + header.count))
        append(prefix)
        append(mapping: header) { Self.mayStandInVariable($0) ? $0 : UInt8(ascii: "_") }
    }

    private static func mayStandInVariable(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: false
        }
    }
}
